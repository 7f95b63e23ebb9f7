"""A manifest of clips: a JSONL file with a row for each, which may label them in several ways.

The rows are described in `data/manifest_rows.py`. A clip is a folder of numbered frames. One kind
of labels is read: of the clip as a whole, of its segments, of the pixels of its masks, or of its
boxes.
"""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vidjax.core.errors import DataError, MissingData
from vidjax.core.names import counted, did_you_mean, nearest, no_such
from vidjax.data.frame_index import THREADS, list_frames
from vidjax.data.lists import leads_outside
from vidjax.data.manifest_checks import boxes_cause, masks_cause, segments_cause
from vidjax.data.manifest_rows import KINDS, SPLITS, Row, read_manifest
from vidjax.data.media import Frames, MaskArray, MaskFrames
from vidjax.data.records import Record, Segment

MANIFEST, CLASS_LIST = "manifest.jsonl", "classes.txt"
VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif")
EXAMPLE = '{"path": "frames/clip1", "split": "train", "label": "wave"}'


@dataclass(frozen=True)
class Source:
    """Clips that a manifest lists.

    A clip is left out where its row, its frames or its masks cannot be used; a row that is none, or
    a video file, is refused. Where `labels` is not "clip", the label of a record is that of its
    row, or the kind of labels where the row has none, and "" where the row is not labelled.

    Args:
        root: the manifest, or the folder that holds it as manifest.jsonl.
        cache_dir: not used. Frames are listed anew each time, for their folders may have changed.
        labels: what the classes are of: "clip", "segments", "masks" or "boxes".
        label_key: the key of a row that has the label of the clip.
        segment_key: the key of a segment that has its label.
        segment_background: the class of what lies outside of all segments, which is then the first;
            "" for no class.
        class_names: of masks, the names of the values 0, 1, ... with commas between; "" for the
            lines of classes.txt beside the manifest.
        frames_per_second: the rate of all clips.
        swaps: pairs of classes that a mirror image swaps, as "left:right, in left:in right"; a
            class paired with itself looks the same in a mirror.
    """

    root: str
    cache_dir: str = ""
    labels: str = "clip"
    label_key: str = "label"
    segment_key: str = "label"
    segment_background: str = ""
    class_names: str = ""
    frames_per_second: float = 25.0
    swaps: str = ""
    synthetic = False

    def __post_init__(self):
        if self.labels not in KINDS:
            raise DataError(no_such("kind of labels", self.labels, KINDS))
        if not self.frames_per_second > 0:
            raise DataError(f"frames_per_second is {self.frames_per_second}; it is above 0.")
        for pair in self.flip_swaps:
            if len(pair) != 2 or not all(pair):
                raise DataError(
                    f"swaps is {self.swaps!r}; it is pairs of classes with a colon between and "
                    "commas from pair to pair, such as left:right."
                )

    @property
    def flip_swaps(self) -> tuple[tuple[str, ...], ...]:
        """Pairs of classes that a mirror image swaps."""
        if not self.swaps:
            return ()
        pairs = []
        for text in self.swaps.split(","):
            pairs.append(tuple(name.strip() for name in text.split(":")))
        return tuple(pairs)

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a row. Raises DataError, MissingData."""
        splits = {row.split for row in self._rows}
        return tuple(split for split in SPLITS if split in splits)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names in the training split in the order of the alphabet, the background first.

        The classes of masks are listed, not collected. Raises DataError where there are none.
        """
        if self.labels == "masks":
            return self._classes_of_masks()
        # A misspelt label of another split is no class: trust the training rows alone.
        names = set()
        for row in self._rows:
            if row.split == "train":
                names.update(row.names or ())
        if not names:
            raise DataError(self._no_labels())
        if self.labels == "segments" and self.segment_background:
            return (self.segment_background, *sorted(names - {self.segment_background}))
        return tuple(sorted(names))

    @property
    def about(self) -> str:
        """One sentence: which manifest, and how many classes."""
        path = self._path
        return (
            f"Clips of the manifest {path.name} in the folder {path.parent.name}, "
            f"{counted(len(self.classes), 'class', plural='classes')}."
        )

    def num_records(self, split: str) -> int:
        """How many rows a split has. Raises DataError, MissingData."""
        return len(self._rows_of(split))

    def records(self, split: str) -> list[Record]:
        """The usable clips of a split in the order of the rows. Raises DataError, MissingData."""
        records, _ = self._read(split)
        return list(records)

    def quarantine(self, split: str) -> list[dict[str, str]]:
        """The clips that records() leaves out: {"id", "cause"}."""
        _, bad = self._read(split)
        return list(bad)

    @cached_property
    def _path(self) -> Path:
        path = Path(self.root).expanduser().resolve()
        if self.root and path.is_dir():
            path = path / MANIFEST
        if not self.root or not path.is_file():
            what = f"There is no file {path}" if self.root else "data.root is empty"
            raise MissingData(
                f"{what}: a manifest was looked for.\n"
                f"It has a line such as {EXAMPLE} for each clip.\n"
                "Give the file, or the folder that holds it as manifest.jsonl, as "
                "--config.data.root=PATH."
            )
        return path

    @cached_property
    def _rows(self) -> list[Row]:
        """All rows. Raises DataError where they name no splits, or some of them none."""
        rows = read_manifest(
            str(self._path),
            kind=self.labels,
            label_key=self.label_key,
            segment_key=self.segment_key,
        )
        without = [row for row in rows if not row.split]
        if not rows:
            raise DataError(f"The manifest {self._path} is empty.")
        if without:
            which = f"{len(without)} of {len(rows)} rows, the first of them {without[0].path},"
            if len(without) == len(rows):
                which = "the rows"
            raise DataError(
                f'{self._path}: {which} name no split; add "split": "train", "validation" or '
                f'"test" to each row. {_keys_of(without[0], "split")}'
            )
        return rows

    def _no_labels(self) -> str:
        """The message for a training split without a label of the kind that is asked for."""
        key = self.label_key if self.labels == "clip" else self.labels
        training = [row for row in self._rows if row.split == "train"]
        message = f"{self._path}: no row of the training split has a label under the key {key!r}. "
        if not training:
            return f"{message}There is no row of that split."
        row = training[0]
        message += _keys_of(row, key)
        others = [kind for kind in KINDS if kind in row.keys and kind != self.labels]
        if others and nearest(key, row.keys) is None:
            message += f"\n--config.data.manifest.labels={others[0]} reads {others[0]}."
        if self.labels == "clip":
            message += "\n--config.data.manifest.label_key names another key for the label."
        return message

    def _rows_of(self, split: str) -> list[Row]:
        if split not in self.splits:
            raise DataError(f"{self._path}: {no_such('split', split, self.splits)}")
        return [row for row in self._rows if row.split == split]

    def _classes_of_masks(self) -> tuple[str, ...]:
        listed = self.class_names.split(",")
        path = self._path.with_name(CLASS_LIST)
        if not self.class_names and path.is_file():
            listed = path.read_text(encoding="utf-8-sig").splitlines()
        names = tuple(name.strip() for name in listed if name.strip())
        if not names:
            raise DataError(
                f"Nothing names the classes of the masks: there is no file {path} with a name on "
                "each line, and class_names is empty."
            )
        for name, count in Counter(names).items():
            if count > 1:
                raise DataError(f"The class {name!r} of the masks is named more than once.")
        return names

    @cached_property
    def _read_splits(self) -> dict[str, tuple[list[Record], list[dict[str, str]]]]:
        return {}

    def _read(self, split: str) -> tuple[list[Record], list[dict[str, str]]]:
        """Records and quarantine of a split, which are read once."""
        if split in self._read_splits:
            return self._read_splits[split]
        rows = self._rows_of(split)
        self._refuse_videos(rows)
        folder = str(self._path.parent)
        paths = [row.path for row in rows if not leads_outside(row.path)]
        frames = list_frames(folder, paths, frames_per_second=self.frames_per_second)
        # A split without any label is for predictions. In any other, a missing label is a fault.
        is_labelled = any(row.names is not None for row in rows)
        _ = self.classes if is_labelled else ()  # once, and not in each of the threads below

        def cause_of(row: Row) -> str:
            return self._cause(row, frames.get(row.path), is_labelled=is_labelled)

        # Boxes and masks are compared with files, which a network disk reads many at a time.
        with ThreadPoolExecutor(THREADS) as pool:
            causes = list(pool.map(cause_of, rows))
        records, bad, earlier_ids = [], [], set()
        for row, cause in zip(rows, causes, strict=True):
            if row.id in earlier_ids:
                cause = "listed more than once"
            if cause:
                bad.append({"id": row.id, "cause": cause})
            else:
                records.append(self._record(row, frames[row.path]))
            earlier_ids.add(row.id)
        self._read_splits[split] = records, bad
        return records, bad

    def _refuse_videos(self, rows: list[Row]) -> None:
        for row in rows:
            if row.path.lower().endswith(VIDEO_SUFFIXES):
                raise DataError(
                    f"{self._path} lists the video file {row.path}, and video files cannot be read "
                    "yet: unpack each into a folder of numbered frames and list that."
                )

    def _cause(self, row: Row, frames: Frames | str | None, *, is_labelled: bool) -> str:
        """Why a row cannot be used; "" where it can."""
        if leads_outside(row.path) or leads_outside(row.masks):
            return "its path leads out of the folder of the manifest"
        if isinstance(frames, str):
            return frames
        if is_labelled:
            return self._label_cause(row) or self._truth_cause(row, frames)
        return ""

    def _truth_cause(self, row: Row, frames: Frames) -> str:
        """Why what a row says of times and places does not fit its clip; "" where it does."""
        if self.labels == "segments":
            return segments_cause(
                row.segments, frames, has_background=bool(self.segment_background)
            )
        if self.labels == "boxes":
            return boxes_cause(row.boxes or (), frames)
        if self.labels == "masks":
            return masks_cause(self._masks(row.masks, frames), frames)
        return ""

    def _label_cause(self, row: Row) -> str:
        if row.names is None:
            key = self.label_key if self.labels == "clip" else self.labels
            misspelt = nearest(key, row.keys)
            hint = f"; {misspelt!r} may be that, misspelt" if misspelt else ""
            return f"no label in its row under the key {key!r}{hint}"
        for name in row.names:
            if name not in self.classes:
                hint = did_you_mean(name, self.classes)
                return f"label {name!r} is not among the {len(self.classes)} classes.{hint}"
        return ""

    def _record(self, row: Row, frames: Frames) -> Record:
        label = row.label
        if self.labels != "clip":
            label = ""
            if row.names is not None:
                label = row.label or self.labels
        segments = row.segments
        if self.labels == "segments" and row.names is not None and self.segment_background:
            end = frames.num_frames / self.frames_per_second
            segments = fill_gaps(segments, end=end, label=self.segment_background)
        return Record(row.id, label, frames, segments, row.boxes, self._masks(row.masks, frames))

    def _masks(self, path: str, frames: Frames) -> MaskFrames | MaskArray | None:
        if not path:
            return None
        whole_path = os.path.join(str(self._path.parent), path)
        if path.lower().endswith(".npz"):
            return MaskArray(whole_path)
        return MaskFrames(whole_path, frames.numbers, frames.digits)


def _keys_of(row: Row, key: str) -> str:
    """The sentence that lists the keys of a row, and says which of them `key` may be."""
    misspelt = nearest(key, row.keys)
    hint = f", where {misspelt!r} may be {key!r} misspelt" if misspelt else ""
    return f"The row of {row.path} has {', '.join(row.keys)}{hint}."


def fill_gaps(segments: tuple[Segment, ...], *, end: float, label: str) -> tuple[Segment, ...]:
    """The segments, which are sorted by start, with segments of `label` in all gaps up to `end`."""
    filled = []
    covered = 0.0  # seconds up to which there is no gap left
    for segment in segments:
        if segment.start > covered:
            filled.append(Segment(covered, segment.start, label))
        filled.append(segment)
        covered = max(covered, segment.end)
    if covered < end:
        filled.append(Segment(covered, end, label))
    return tuple(filled)
