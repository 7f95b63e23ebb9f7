"""The built-in synthetic gesture set: drawn once into the cache, then read in Jester's layout.

It has Jester's labels. Ten pairs of classes hold the same frames in opposite order, so a network
that ignores time stays at 63 % or below. With `labels="attributes"`, the same clips have two labels
each: the shape of the hand and the direction of its movement (`gestures.attributes`).
"""

import contextlib
import hashlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from vidjax.core.errors import DataError, StorageError
from vidjax.core.names import no_such
from vidjax.data.records import Record
from vidjax.data.sources import jester
from vidjax.gestures import attributes, write

LABELS = ("gesture", "attributes")


@dataclass(frozen=True)
class Source:
    """Synthetic clips of hand gestures. The same fields give the same bytes on any machine.

    The first call of records() or prepare() renders the set. A run of fewer classes or with other
    labels reads the same drawings.

    Args:
        root: not used; the set lies in a folder under `cache_dir`.
        cache_dir: where the set is rendered.
        train_clips: training clips of each gesture.
        validation_clips: validation clips of each gesture.
        num_classes: how many gestures, the first ones of Jester's 27.
        seed: of everything that is drawn at random.
        labels: "gesture", or "attributes" for a shape and a direction as two labels of each clip.
    """

    root: str = ""
    cache_dir: str = ""
    train_clips: int = 70
    validation_clips: int = 20
    num_classes: int = len(write.CLASSES)
    seed: int = 0
    labels: str = "gesture"
    synthetic = True
    frames_per_second = jester.FRAMES_PER_SECOND

    def __post_init__(self):
        counts = self._clips_per_gesture.values()
        if min(counts) < 0 or sum(counts) == 0:
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
                f"The synthetic gesture set has 2 to {len(write.CLASSES)} classes, "
                f"not {self.num_classes}."
            )
        if self.labels not in LABELS:
            kind = no_such("kind of labels", self.labels, LABELS)
            raise DataError(f"The synthetic gesture set: {kind}")
        for first, second in jester.SWAPS:
            # Without its partner, a mirrored clip of the one would have no label.
            if (first in self._gestures) != (second in self._gestures):
                raise DataError(
                    f"The synthetic gesture set: num_classes {self.num_classes} would part "
                    f"{first!r} from {second!r}; take one more."
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """Gestures in Jester's order, or the attributes of these gestures."""
        if self.labels == "attributes":
            return attributes.names(self._gestures)
        return self._gestures

    @property
    def flip_swaps(self) -> tuple[tuple[str, str], ...]:
        """Pairs of labels that a mirror image swaps."""
        swaps = jester.SWAPS
        if self.labels == "attributes":
            swaps = attributes.SWAPS
        return tuple(pair for pair in swaps if pair[0] in self.classes)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have clips."""
        return tuple(split for split, count in self._clips_per_gesture.items() if count)

    @property
    def about(self) -> str:
        """One sentence, for `describe` and the report."""
        gestures = "Jester's 27"
        if self.num_classes < len(write.CLASSES):
            gestures = f"{self.num_classes} of {gestures}"
        labels = ""
        if self.labels == "attributes":
            labels = ", labelled with shape and direction"
        return (
            f"The built-in synthetic gesture set: drawn hands, not people, {self.train_clips} "
            f"training and {self.validation_clips} validation clips for each of {gestures} classes"
            f"{labels}, seed {self.seed}."
        )

    @property
    def folder(self) -> str:
        """Where the set lies once it is rendered."""
        # Everything that changes a byte of the set is in the key.
        key = f"{write.VERSION} {self.seed} {self.train_clips} {self.validation_clips}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        return os.path.join(self.cache_dir, f"gestures-{digest}")

    def num_records(self, split: str) -> int:
        """The number of clips of a split, without rendering it. Raises DataError."""
        if split not in self.splits:
            raise DataError(
                f"The gesture set has no split {split!r}; it has {', '.join(self.splits)}."
            )
        return self._clips_per_gesture[split] * self.num_classes

    def records(self, split: str) -> list[Record]:
        """The clips of a split; renders the set where it is not in the cache.

        Raises DataError and StorageError as `prepare` does.
        """
        self.num_records(split)
        records = []
        for record in self._rendered.records(split):
            if record.label not in self._gestures:
                continue
            if self.labels == "attributes":
                record = replace(record, label=attributes.ATTRIBUTES[record.label])
            records.append(record)
        return records

    def quarantine(self, split: str) -> list[dict[str, str]]:
        """Clips that are listed and missing: none, unless somebody touched the cache."""
        self.num_records(split)
        return self._rendered.quarantine(split)

    @property
    def _gestures(self) -> tuple[str, ...]:
        return write.CLASSES[: self.num_classes]

    @property
    def _clips_per_gesture(self) -> dict[str, int]:
        return {"train": self.train_clips, "validation": self.validation_clips}

    @cached_property
    def _rendered(self) -> jester.Source:
        return jester.Source(root=self.prepare(), cache_dir=self.folder)

    def prepare(self, workers: int = 0) -> str:
        """Renders the set where it is not in the cache, and returns its folder.

        Raises DataError where no cache folder is set, StorageError where it cannot be written.

        `workers` is the number of processes; 0 takes one for each core.
        """
        if os.path.isdir(self.folder):
            return self.folder
        if not self.cache_dir:
            raise DataError(
                "The synthetic gesture set is rendered into a cache folder: set data.cache_dir."
            )
        try:
            os.makedirs(self.cache_dir, exist_ok=True)
            with _locked(self.folder + ".lock"):
                # Another process may have rendered the set while this one waited for the lock.
                if not os.path.isdir(self.folder):
                    self._render(workers)
        except OSError as error:
            raise StorageError(
                f"The synthetic gesture set could not be rendered into {self.cache_dir}: {error}.\n"
                "Set data.cache_dir to a folder with room to write."
            ) from error
        return self.folder

    def _render(self, workers: int) -> None:
        """Renders into a part folder, which takes its name only when it is complete."""
        # The name of this machine is in the name of the part: on a shared disk without locks,
        # another machine may be rendering the same set.
        prefix = f"{os.path.basename(self.folder)}.part-{socket.gethostname()}-"
        for name in os.listdir(self.cache_dir):
            # We hold the lock, so the process that left this part was killed.
            if name.startswith(prefix):
                shutil.rmtree(os.path.join(self.cache_dir, name), ignore_errors=True)
        part = tempfile.mkdtemp(prefix=prefix, dir=self.cache_dir)
        try:
            os.chmod(part, 0o755)
            counts = (self.train_clips, self.validation_clips)
            write.write(part, seed=self.seed, counts=counts, workers=workers)
            try:
                os.rename(part, self.folder)
            except OSError:
                # If the folder exists, another machine was faster, with the same bytes.
                if not os.path.isdir(self.folder):
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Holds the lock of a file; the system frees the lock of a process that dies.

    Where there are no locks, two processes may render at once, which wastes time and does no harm.
    """
    with open(path, "a") as file:
        try:
            import fcntl
        except ImportError:  # Windows
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
