"""Reads the rows of a manifest: a text file with a JSON object on each line, one for each clip.

    {"path": "clips/7", "split": "train", "label": "wave",
     "segments": [{"start": 0.4, "end": 1.2, "label": "up"}],
     "boxes": [{"label": "hand", "frames": [0, 1], "boxes": [[9, 5, 40, 31], [9, 6, 40, 32]]}],
     "masks": "masks/7"}

A row has a `path`; everything else is optional, and keys that nobody asks for are ignored. Times
are seconds from the start of the clip. Boxes are (top, left, bottom, right) in pixels of the frame,
one for each of `frames`, which count from 0. A frame that is not listed has no such object:
interpolate boxes that were marked every few frames first.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidjax.core.errors import DataError
from vidjax.core.names import did_you_mean, nearest
from vidjax.data.records import Segment, Track

SPLITS = ("train", "validation", "test")
KINDS = ("clip", "segments", "masks", "boxes")


@dataclass(frozen=True)
class Row:
    """A clip of a manifest.

    Args:
        id: its name.
        path: where its frames are, from the folder of the manifest.
        split: one of SPLITS; "" where the row names none.
        label: of the whole clip; "" where the row has none.
        names: the classes that the row names for the kind of labels that was asked for; None where
            it is not labelled.
        segments, boxes: as in a record.
        masks: where its masks are, from the folder of the manifest; "" for none.
        keys: all that the row has, for messages.
    """

    id: str
    path: str
    split: str
    label: str | tuple[str, ...]
    names: tuple[str, ...] | None
    segments: tuple[Segment, ...] = ()
    boxes: tuple[Track, ...] | None = None
    masks: str = ""
    keys: tuple[str, ...] = ()


def read_manifest(path: str, *, kind: str, label_key: str, segment_key: str) -> list[Row]:
    """The rows of a manifest in order.

    Args:
        path: of the file.
        kind: one of KINDS: what of the labels is read.
        label_key: the key of a row that has the label of the clip.
        segment_key: the key of a segment that has its label.

    Raises DataError with the file and the line for what is no row.
    """
    rows = []
    try:
        # utf-8-sig: tools on Windows put a byte order mark in front.
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    entry = _Entry(f"{path}, line {number}", _parse(path, number, line))
                    rows.append(_row(entry, kind, label_key=label_key, segment_key=segment_key))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no manifest in UTF-8: {error}.") from error
    return rows


def _parse(path: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}, line {number}, is no JSON: {error}.") from error


def _row(entry: "_Entry", kind: str, *, label_key: str, segment_key: str) -> Row:
    path = entry.text("path")
    if not path:
        raise entry.error(entry.without("path"))
    split = entry.text("split")
    if split and split not in SPLITS:
        raise entry.error(
            f"names the split {split!r}.{did_you_mean(split, SPLITS)} "
            "It is train, validation or test"
        )
    label = entry.names(label_key)
    known: dict[str, Any] = {}
    names = None
    if kind == "clip" and label != "":
        names = (label,) if isinstance(label, str) else label
    if kind == "masks" and entry.text("masks"):
        names, known["masks"] = (), entry.text("masks")
    if kind in ("segments", "boxes") and entry.has(kind):
        if kind == "segments":
            parts = [_segment(part, segment_key) for part in entry.parts("segments")]
            parts.sort(key=lambda segment: segment.start)
        else:
            parts = [_track(part) for part in entry.parts("boxes")]
        names, known[kind] = tuple(part.label for part in parts), tuple(parts)
    known["keys"] = tuple(map(str, entry.values))
    return Row(entry.text("id") or path, path, split, label, names, **known)


def _segment(entry: "_Entry", label_key: str) -> Segment:
    start, end = entry.number("start"), entry.number("end")
    if start < 0:
        raise entry.error(f"begins at {start} seconds; a clip begins at 0")
    if not start < end:
        raise entry.error(f"goes from {start} to {end} seconds; it has to begin before it ends")
    label = entry.text(label_key)
    if not label:
        raise entry.error(
            f"{entry.without(label_key)}; "
            "--config.data.manifest.segment_key names the key that has the label of a segment"
        )
    return Segment(start, end, label)


def _track(entry: "_Entry") -> Track:
    label = entry.required_text("label")
    try:
        frames = np.array(entry.get("frames"), np.int64)
        boxes = np.array(entry.get("boxes"), np.float32).reshape(-1, 4)
        is_whole = (frames == np.array(entry.get("frames"), np.float64)).all()
    except (ValueError, TypeError, OverflowError) as error:
        raise entry.error(
            "has to list frames, and a box (top, left, bottom, right) for each"
        ) from error
    if frames.ndim != 1 or len(frames) != len(boxes) or not is_whole:
        raise entry.error(f"has {frames.size} frames and {len(boxes)} boxes")
    if frames.size and frames.min() < 0 or len(np.unique(frames)) != len(frames):
        raise entry.error("names a frame twice, or one before the first, which is 0")
    if not (np.isfinite(boxes).all() and (boxes[:, :2] < boxes[:, 2:]).all()):
        raise entry.error("has a box whose bottom is not below its top, or right not beyond left")
    order = np.argsort(frames)
    return Track(label, frames[order].astype(np.int32), boxes[order])


class _Entry:
    """An object of JSON in a manifest. Its errors name the file and the line."""

    def __init__(self, where: str, values: Any):
        self.where = where
        if not isinstance(values, Mapping):
            raise self.error("is no JSON object")
        self.values = values

    def without(self, key: str) -> str:
        """The part of a sentence that says that a key is missing, and which key may be meant."""
        keys = tuple(map(str, self.values))
        misspelt = nearest(key, keys)
        hint = f", where {misspelt!r} may be misspelt" if misspelt else ""
        return f"has no {key!r}; it has {', '.join(keys) or 'nothing'}{hint}"

    def error(self, what: str) -> DataError:
        """The error that says what is wrong with this entry."""
        return DataError(f"{self.where}, {what}.")

    def get(self, key: str) -> Any:
        """The value of a key, None where there is none."""
        return self.values.get(key)

    def has(self, key: str) -> bool:
        """Whether a key has a value."""
        return self.get(key) is not None

    def text(self, key: str) -> str:
        """A text, "" where there is none."""
        value = self.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(f"has {value!r} for {key!r}; it has to be a text")
        return value

    def required_text(self, key: str) -> str:
        """A text that may not be missing."""
        if not self.text(key):
            raise self.error(self.without(key))
        return self.text(key)

    def names(self, key: str) -> str | tuple[str, ...]:
        """A name, or a tuple of names; "" where there is none."""
        value = self.get(key)
        if not isinstance(value, list):
            return self.text(key)
        if not all(isinstance(name, str) and name for name in value):
            raise self.error(f"has {value!r} for {key!r}; it has to be a name or a list of names")
        return tuple(value)

    def number(self, key: str) -> float:
        """A finite number."""
        if not self.has(key):
            raise self.error(self.without(key))
        value = self.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise self.error(f"has {value!r} for {key!r}; it has to be a number")
        return float(value)

    def parts(self, key: str) -> list["_Entry"]:
        """The objects in a list."""
        value = self.get(key)
        if not isinstance(value, list):
            raise self.error(f"has {value!r} for {key!r}; it has to be a list")
        entries = []
        for place, part in enumerate(value):
            entries.append(_Entry(f"{self.where}, {key}[{place}]", part))
        return entries
