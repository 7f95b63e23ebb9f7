"""The built-in synthetic gesture set: drawn once into the cache, then read like Jester, whose labels and layout it has.

Ten pairs of classes hold the same frames in opposite order, so a network that ignores time stays at 63 % or below.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from vidjax.core.errors import DataError
from vidjax.data.records import Record
from vidjax.data.sources.jester import SWAPS
from vidjax.data.sources.jester import Source as JesterSource
from vidjax.gestures import write


@dataclass(frozen=True)
class Source:
    """Synthetic clips of 27 gestures; the same fields give the same bytes. Rendered at records() or prepare().

    `root` is not used: the set lies in a folder of its own under `cache_dir`, named by clips a class and seed; a run of
    fewer classes reads the same drawings.
    """

    root: str = ""
    cache_dir: str = ""
    train_clips: int = 70  # a class
    validation_clips: int = 20  # a class
    num_classes: int = len(write.CLASSES)  # the first so many of Jester's
    seed: int = 0
    synthetic = True

    def __post_init__(self):
        if (
            self.train_clips < 0
            or self.validation_clips < 0
            or self.train_clips + self.validation_clips == 0
        ):
            raise DataError(
                "The synthetic gesture set needs a positive number of clips a class, not "
                f"train_clips {self.train_clips} and validation_clips {self.validation_clips}."
            )
        if self.seed < 0:
            raise DataError(
                f"The synthetic gesture set needs a seed of 0 or more, not {self.seed}."
            )
        if not 2 <= self.num_classes <= len(write.CLASSES):
            raise DataError(
                f"The synthetic gesture set has 2 to {len(write.CLASSES)} classes, not {self.num_classes}."
            )
        for pair in SWAPS:  # a mirrored clip of the one would have no label
            if len({*pair} & {*self.classes}) == 1:
                more = f"{pair[0]!r} from {pair[1]!r}; take one more"
                raise DataError(
                    f"The synthetic gesture set: num_classes {self.num_classes} would part {more}."
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in Jester's order."""
        return write.CLASSES[: self.num_classes]

    @property
    def flip_swaps(self) -> tuple[tuple[str, str], ...]:
        """Pairs of labels that a mirror image swaps."""
        return tuple(pair for pair in SWAPS if pair[0] in self.classes)

    @property
    def _counts(self) -> dict[str, int]:
        return {"train": self.train_clips, "validation": self.validation_clips}

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split, count in self._counts.items() if count)

    @property
    def about(self) -> str:
        """One sentence, for `describe` and the report."""
        of = "Jester's 27" if self.num_classes == 27 else f"{self.num_classes} of Jester's 27"
        return (
            f"The built-in synthetic gesture set: drawn hands, not people, {self.train_clips} training and "
            f"{self.validation_clips} validation clips for each of {of} classes, seed {self.seed}."
        )

    @property
    def folder(self) -> str:
        """Where the set lies, or will."""
        key = f"{write.VERSION} {self.seed} {self.train_clips} {self.validation_clips}"
        return os.path.join(
            self.cache_dir, f"gestures-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        )

    def num_records(self, split: str) -> int:
        """The number of clips of a split, known without rendering. Raises DataError where there is no such split."""
        if split not in self.splits:
            raise DataError(
                f"The gesture set has no split {split!r}; it has {', '.join(self.splits)}."
            )
        return self._counts[split] * len(self.classes)

    def records(self, split: str) -> list[Record]:
        """The clips of a split, rendered first where they are not there yet. Raises DataError."""
        self.num_records(split)
        return [record for record in self._jester.records(split) if record.label in self.classes]

    def quarantine(self, split: str) -> list[dict[str, str]]:
        """Clips that are listed and not there: none, unless somebody touched the cache."""
        self.num_records(split)
        return self._jester.quarantine(split)

    @cached_property
    def _jester(self) -> JesterSource:
        return JesterSource(root=self.prepare(), cache_dir=self.folder)

    def prepare(self, workers: int = 0) -> str:
        """Renders the set where it is not there yet (workers 0: all cores) and returns its folder. Raises DataError."""
        if os.path.isdir(self.folder):
            return self.folder
        if not self.cache_dir:
            raise DataError(
                "The synthetic gesture set is rendered into a cache folder: set data.cache_dir."
            )
        try:
            os.makedirs(self.cache_dir, exist_ok=True)
            with _locked(self.folder + ".lock"):
                if not os.path.isdir(self.folder):
                    self._render(workers)
        except OSError as error:
            raise DataError(
                f"The synthetic gesture set could not be rendered into {self.cache_dir}: {error}.\n"
                "Set data.cache_dir to a folder with room to write."
            ) from error
        return self.folder

    def _render(self, workers: int) -> None:
        # A name of this machine's own: on a shared disk without locks another machine may be rendering the same set.
        prefix = f"{os.path.basename(self.folder)}.part-{socket.gethostname()}-"
        for name in os.listdir(self.cache_dir):
            if name.startswith(prefix):  # a run that was killed: the lock says that nobody is at it
                shutil.rmtree(os.path.join(self.cache_dir, name), ignore_errors=True)
        part = tempfile.mkdtemp(prefix=prefix, dir=self.cache_dir)
        try:
            os.chmod(part, 0o755)
            write.write(part, self.seed, (self.train_clips, self.validation_clips), workers)
            try:
                os.rename(part, self.folder)
            except OSError:
                if not os.path.isdir(
                    self.folder
                ):  # otherwise somebody else was faster, with the same bytes
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Waits for this file's lock, which the system takes back from a process that dies; without locks, just goes on."""
    with open(path, "a") as file:
        try:
            import fcntl
        except ImportError:  # Windows: two renderings at once are wasteful, not wrong
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("synthetic gestures: another process is rendering them, waiting", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield
