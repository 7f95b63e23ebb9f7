"""20BN-Jester: a folder of numbered frames per clip, and a list per split, in the four layouts that are about.

1. v1: `20bn-jester-v1/<id>/00001.jpg`, and beside it jester-v1-{labels,train,validation,test}.csv (`id;label`).
2. 2022: the lists {labels,train,validation,test,test-answers}.csv in a folder labels/.
3. The same tree with the lists apart: beside the frames folder, in labels/ or annotations/, there or one folder up.
4. The Kaggle copy: Train/, Validation/ and Test/ with Train.csv ..., commas, a header, quoted shapes.

Any data set in one of these layouts works, whatever its classes. Labels are keyed by name: two index orders are in use
elsewhere. Frame numbers are listed, not assumed: they have gaps.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vidjax.core.errors import DataError, MissingData
from vidjax.core.names import did_you_mean
from vidjax.data.frame_index import Frames, list_frames
from vidjax.data.sources import Record

SPLITS = ("train", "validation", "test")
SWAPS = (
    ("Swiping Left", "Swiping Right"),
    ("Sliding Two Fingers Left", "Sliding Two Fingers Right"),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
)
FRAME_FOLDERS = ("20bn-jester-v1", "20bnjester-v1", "frames", "rawframes")
PART = re.compile(r"(20bn-?jester-v1)-\d\d$")
HOW_TO_GET = (
    "Jester is free for research: see the official page (20BN/Qualcomm) 'Qualcomm AI datasets: Jester'.\n"
    "Accept its licence there, put its parts and lists in one folder and give it as --config.data.root=DIR."
)


@dataclass(frozen=True)
class Source:
    """Clips in Jester's layout under `root`; `cache_dir` ("" for none) keeps the index of frames between runs.

    The index is keyed by the list and by the time the frames folder changed: remove it after repairing single clips.
    """

    root: str
    cache_dir: str = ""
    synthetic = False

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a list. Raises MissingData where there are none."""
        return tuple(split for split in SPLITS if split in self._lists)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Label names in the order of the labels file, or sorted where there is none (the Kaggle copy)."""
        if "labels" in self._lists:
            with open(self._lists["labels"], encoding="utf-8-sig", newline="") as file:
                found = [
                    row[0].strip()
                    for row in csv.reader(file, delimiter=";")
                    if row and row[0].strip()
                ]
            duplicates = [name for name, count in Counter(found).items() if count > 1]
            if duplicates:
                raise DataError(f"{self._lists['labels']} names {duplicates[0]!r} more than once.")
        else:
            # the training list alone where there is one: a misspelt label of another split is no class
            splits = self.splits[:1] if "train" in self.splits else self.splits
            found = sorted({label for split in splits for _, label in self._rows(split) if label})
        if not found:
            raise DataError(
                f"There are no labels in {self.root}: neither a labels file nor a list with labels."
            )
        return tuple(found)

    @property
    def flip_swaps(self) -> tuple[tuple[str, str], ...]:
        """Jester's pairs that a horizontal flip swaps, those of them that are among the classes."""
        return tuple(pair for pair in SWAPS if set(pair) <= set(self.classes))

    @property
    def about(self) -> str:
        """One sentence: where, and how many classes."""
        return f"Clips in Jester's layout from the folder {Path(self.root).resolve().name}, {len(self.classes)} classes."

    def num_records(self, split: str) -> int:
        """How many clips the list of a split names; their frames are not looked for. Raises DataError, MissingData."""
        return len(self._rows(split))

    def records(self, split: str) -> list[Record]:
        """The clips of a split in list order, without the quarantined. Raises DataError, MissingData."""
        return self._read(split)[0]

    def quarantine(self, split: str) -> list[dict[str, str]]:
        """The listed clips that records() leaves out: {"id", "cause"}."""
        return self._read(split)[1]

    def _read(self, split: str) -> tuple[list[Record], list[dict[str, str]]]:
        if split not in self._cache:
            folder, frames = self._frames(split)
            rows = self._rows(split)
            labelled = any(label for _, label in rows)
            records, bad, seen = [], [], set()
            for clip, label in rows:
                found = frames[clip]
                cause = self._label_cause(label) if labelled else ""
                if isinstance(found, str):
                    cause = found
                if clip in seen:
                    cause = "listed more than once"
                if os.path.isabs(clip) or ".." in clip.split("/"):
                    cause = "its name leads out of the frames folder"
                seen.add(clip)
                if cause:
                    bad.append({"id": clip, "cause": cause})
                else:
                    path = os.path.join(folder, clip)
                    records.append(Record(clip, path, len(found[0]), label, *found))
            self._cache[split] = records, bad
        records, bad = self._cache[split]
        return list(records), list(bad)

    @cached_property
    def _cache(self) -> dict[str, tuple[list[Record], list[dict[str, str]]]]:
        return {}

    def _label_cause(self, label: str) -> str:
        if label in self._class_set:
            return ""
        if not label:
            return "no label in the list"
        return f"label {label!r} is not among the {len(self.classes)} classes.{did_you_mean(label, self.classes)}"

    @cached_property
    def _class_set(self) -> frozenset[str]:
        return frozenset(self.classes)

    @cached_property
    def _lists(self) -> dict[str, str]:
        """Paths of the lists, by "labels", "train", "validation", "test" and "test-answers"."""
        root = Path(self.root).expanduser().resolve()
        if not self.root or not root.is_dir():
            what = f"There is no folder {root}" if self.root else "data.root is empty"
            raise MissingData(
                f"{what}: a folder with Jester's frames and lists was looked for.\n{HOW_TO_GET}"
            )
        around = [
            root,
            *_named(root, "labels", "annotations"),
            *_named(root.parent, "labels", "annotations"),
        ]
        # the folder above is searched only where root is the frames folder: it may hold somebody else's lists
        if root.name.lower() in FRAME_FOLDERS:
            around.append(root.parent)
        for folder in around:
            found = {}
            for path in sorted(folder.iterdir()):
                name = re.sub(r"^(20bn-?)?(jester-)?(v1-)?", "", path.name.lower())
                name = {"val.csv": "validation.csv"}.get(name, name)
                if name in (
                    "labels.csv",
                    "test-answers.csv",
                    *(f"{split}.csv" for split in SPLITS),
                ):
                    found[name.removesuffix(".csv")] = str(path)
            if any(split in found for split in SPLITS):
                return found
        self._refuse_parts(root)
        raise MissingData(
            f"There are no lists in {root}: jester-v1-train.csv, train.csv or Train.csv was looked for,\n"
            f"there, in its folders labels and annotations, and in those beside it.\n{HOW_TO_GET}"
        )

    def _rows(self, split: str) -> list[tuple[str, str]]:
        """(id, label) of each row of a split's list."""
        if split not in self.splits:
            raise DataError(
                f"There is no split {split!r} in {self.root}.{did_you_mean(split, self.splits)}\n"
                f"It has {', '.join(self.splits)}."
            )
        answers = {}
        if split == "test" and "test-answers" in self._lists:
            answers = dict(_read_list(self._lists["test-answers"]))
        return [
            (clip, label or answers.get(clip, "")) for clip, label in _read_list(self._lists[split])
        ]

    def _frames(self, split: str) -> tuple[str, dict[str, Frames | str]]:
        """The frames folder of a split, and what is in each listed clip's folder."""
        root = Path(self.root).expanduser().resolve()
        clips = [clip for clip, _ in self._rows(split)]
        if not clips:
            raise DataError(f"The list {self._lists[split]} is empty.")
        short = "val" if split == "validation" else split
        names = dict.fromkeys((split, short, *FRAME_FOLDERS))
        # an archive unpacked into a folder of its own name nests the tree once more
        folders = [
            nested
            for folder in _named(root, *names)
            for nested in (folder, *_named(folder, *names))
        ]
        for folder in [*folders, root]:
            if any(os.path.isdir(os.path.join(folder, clip)) for clip in clips):
                return str(folder), list_frames(
                    str(folder), clips, (split, self._lists[split]), self.cache_dir
                )
        self._refuse_parts(root)
        looked = ", ".join([*(folder.name + "/" for folder in folders), "the root itself"])
        raise MissingData(
            f"There are lists in {root}, but no frames: of the {len(clips)} clips of {Path(self._lists[split]).name},\n"
            f"such as {clips[0]}, none has a folder in {looked}.\n{HOW_TO_GET}"
        )

    def _refuse_parts(self, root: Path) -> None:
        """Raises MissingData where the root holds the archive's parts, not yet unpacked."""
        for path in sorted(root.iterdir()):
            match = PART.match(path.name)
            if match and path.is_file():
                raise MissingData(
                    f"{root} holds Jester as it is shipped, in parts ({path.name}, ...). Unpack it:\n"
                    f"cd '{root}' && cat {match[1]}-?? | tar zx"
                )


def _named(folder: Path, *names: str) -> list[Path]:
    """The folders of these names in `folder`, in the order of the names, any case."""
    try:
        entries = list(os.scandir(folder))
    except OSError:  # the folder above the root may be closed to us
        return []
    there = {
        entry.name.lower(): Path(entry.path) for entry in entries if entry.name.lower() in names
    }
    return [there[name] for name in names if name in there and there[name].is_dir()]


def _read_list(path: str) -> list[tuple[str, str]]:
    """(id, label) of each row: `id;label`, or `id` alone, or comma-separated columns under a header."""
    rows = _rows_of(path)
    first = next(rows, None)
    if first is None:
        return []
    header = [cell.lower() for cell in first]
    if header[0] in ("video_id", "id"):
        id_column, label_column = 0, header.index("label") if "label" in header else None
    else:
        id_column, label_column = 0, 1
        rows = iter([first, *rows])
    return [
        (
            row[id_column],
            row[label_column] if label_column is not None and len(row) > label_column else "",
        )
        for row in rows
    ]


def _rows_of(path: str) -> Iterator[list[str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        delimiter = ";" if ";" in file.readline() else ","
        file.seek(0)
        for row in csv.reader(file, delimiter=delimiter):
            if row and row[0].strip():
                yield [cell.strip() for cell in row]
