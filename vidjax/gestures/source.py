"""The built-in synthetic gesture set: drawn once into the cache, then read in Jester's layout.

It has Jester's labels. Ten pairs of classes hold the same frames in opposite order, so a network
that ignores time stays at 63 % or below. The same clips may be labelled otherwise: with the shape
of the hand and the direction of its movement (`gestures.attributes`), or with the phases of the
gesture, the pixels of the hands, or boxes around them (`gestures.truth`).
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

from vidjax.core.errors import DataError
from vidjax.core.names import no_such
from vidjax.data.media import MaskArray
from vidjax.data.records import Record, Track
from vidjax.data.sources import jester
from vidjax.gestures import attributes, cache, truth, write

# what a clip is labelled with: how `about` says it
LABELS = {
    "gesture": "",
    "attributes": ", labelled with shape and direction",
    "phases": ", labelled with the phases of each gesture",
    "masks": ", labelled with the pixels of the hands",
    "boxes": ", labelled with boxes around the hands",
}
# the kinds whose classes are the same for any gestures
FIXED_CLASSES = {"phases": truth.PHASES, "masks": truth.PIXELS, "boxes": (truth.HAND,)}


class _Shown(NamedTuple):
    """What a clip shows: a sequence, in one direction of time."""

    sequence: write.Sequence
    backward: bool


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
        labels: what the classes are. "gesture": one for each clip. "attributes": a shape and a
            direction as two labels of each clip. "phases": of the segments of each record.
            "masks": of the masks of each record. "boxes": of its boxes. With the last three, the
            label of a record stays its gesture.
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
            kind = no_such("kind of labels", self.labels, tuple(LABELS))
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
        """Gestures in Jester's order, or the classes of the other kinds of labels."""
        if self.labels == "attributes":
            return attributes.names(self._gestures)
        return FIXED_CLASSES.get(self.labels, self._gestures)

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
        return (
            f"The built-in synthetic gesture set: drawn hands, not people, {self.train_clips} "
            f"training and {self.validation_clips} validation clips for each of {gestures} classes"
            f"{LABELS[self.labels]}, seed {self.seed}."
        )

    @property
    def folder(self) -> str:
        """Where the set lies once it is rendered."""
        # Everything that changes a byte of the set is in the key.
        key = f"{write.VERSION} {self.seed} {self.train_clips} {self.validation_clips}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        return os.path.join(self.cache_dir, f"gestures-{digest}")

    @property
    def truth_folder(self) -> str:
        """Where masks and boxes lie once they are drawn."""
        return f"{self.folder}-truth-{truth.VERSION}"

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
            if record.label in self._gestures:
                records.append(replace(record, **self._known_of(record)))
        return records

    def _known_of(self, record: Record) -> dict[str, Any]:
        """The fields of a record that depend on the kind of labels."""
        if self.labels == "attributes":
            return {"label": attributes.ATTRIBUTES[record.label]}
        if self.labels == "phases":
            sequence, backward = self._shown_by_clip[record.id]
            return {"segments": truth.phases(sequence, backward=backward)}
        if self.labels == "masks":
            return {"masks": MaskArray(truth.mask_path(self.prepare_truth(), record.id))}
        if self.labels == "boxes":
            return {"boxes": self._tracks_by_clip[record.id]}
        return {}

    @cached_property
    def _shown_by_clip(self) -> dict[str, _Shown]:
        """What each clip shows, by its id."""
        shown = {}
        for sequence in write.plan(self.seed, (self.train_clips, self.validation_clips)):
            shown[str(sequence.forward)] = _Shown(sequence, backward=False)
            if sequence.backward is not None:
                shown[str(sequence.backward)] = _Shown(sequence, backward=True)
        return shown

    @cached_property
    def _tracks_by_clip(self) -> dict[str, tuple[Track, ...]]:
        return truth.read_boxes(self.prepare_truth())

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
        return self._make_once(self.folder, write.write, workers)

    def prepare_truth(self, workers: int = 0) -> str:
        """Draws masks and boxes where they are not in the cache, and returns their folder.

        Arguments and errors are those of `prepare`.
        """
        return self._make_once(self.truth_folder, truth.write, workers)

    def _make_once(self, folder: str, write_set: Callable[..., None], workers: int) -> str:
        counts = (self.train_clips, self.validation_clips)
        make = partial(write_set, seed=self.seed, counts=counts, num_workers=workers)
        return cache.make_once(folder, make)
