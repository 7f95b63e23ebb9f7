"""20BN-Jester: a folder of numbered frames for each clip, and a list for each split.

The data set is found on disks in four layouts, and any data set in one of them works, whatever its
classes:

1. Version 1: frames in `20bn-jester-v1/<id>/00001.jpg`, and beside that folder the lists
   jester-v1-{labels,train,validation,test}.csv with rows of `id;label`.
2. 2022: the lists {labels,train,validation,test,test-answers}.csv in a folder labels/.
3. The frames as in 1, the lists in labels/ or annotations/, in the root or beside the root.
4. The Kaggle copy: Train/, Validation/ and Test/ beside Train.csv and so on, with commas, a header
   and quoted shapes.

Labels are keyed by name, since two orders of indices are in use. The numbers of frames are listed,
since they have gaps.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vidjax.core.errors import DataError, MissingData
from vidjax.core.names import counted, did_you_mean
from vidjax.data.frame_index import index_path, list_frames
from vidjax.data.lists import leads_outside, read_list, read_rows
from vidjax.data.media import Frames
from vidjax.data.records import Record

FRAMES_PER_SECOND = 12.0
SPLITS = ("train", "validation", "test")
LIST_NAMES = ("labels", "test-answers", *SPLITS)
SWAPS = (
    ("Swiping Left", "Swiping Right"),
    ("Sliding Two Fingers Left", "Sliding Two Fingers Right"),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
)
FRAME_FOLDERS = ("20bn-jester-v1", "20bnjester-v1", "frames", "rawframes")
LIST_FOLDERS = ("labels", "annotations")
PART = re.compile(r"(20bn-?jester-v1)-\d\d$")  # of the archive, as it is downloaded
HOW_TO_GET = (
    "Jester is free for research: see the official page (20BN/Qualcomm) "
    "'Qualcomm AI datasets: Jester'.\n"
    "Accept its licence there, put its parts and lists in one folder "
    "and give it as --config.data.root=DIR."
)


@dataclass(frozen=True)
class Source:
    """Clips in Jester's layout.

    Args:
        root: the folder with frames and lists.
        cache_dir: where the index of frames is kept between runs; "" for nowhere. The index follows
            the list and the frames folder, but not the folders of single clips.
    """

    root: str
    cache_dir: str = ""
    synthetic = False
    frames_per_second = FRAMES_PER_SECOND

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a list. Raises MissingData where there are none."""
        return tuple(split for split in SPLITS if split in self._lists)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Label names in the order of the labels file; sorted where there is none (Kaggle)."""
        if "labels" in self._lists:
            names = _read_labels(self._lists["labels"])
        else:
            # A misspelt label of another split is no class: trust the training list alone.
            splits = self.splits
            if "train" in splits:
                splits = ("train",)
            labels = {label for split in splits for _, label in self._rows(split)}
            names = sorted(labels - {""})
        if not names:
            raise DataError(
                f"There are no labels in {self.root}: neither a labels file nor a list with labels."
            )
        return tuple(names)

    @property
    def flip_swaps(self) -> tuple[tuple[str, str], ...]:
        """Jester's pairs that a horizontal flip swaps, as far as they are among the classes."""
        return tuple(pair for pair in SWAPS if set(pair) <= set(self.classes))

    @property
    def about(self) -> str:
        """One sentence: where, and how many classes."""
        folder = Path(self.root).resolve().name
        num_classes = counted(len(self.classes), "class", plural="classes")
        return f"Clips in Jester's layout from the folder {folder}, {num_classes}."

    def num_records(self, split: str) -> int:
        """How many clips the list of a split names. Raises DataError, MissingData."""
        return len(self._rows(split))

    def records(self, split: str) -> list[Record]:
        """The usable clips of a split in list order. Raises DataError, MissingData."""
        records, _ = self._read(split)
        return list(records)

    def quarantine(self, split: str) -> list[dict[str, str]]:
        """The listed clips that records() leaves out: {"id", "cause"}."""
        _, bad = self._read(split)
        return list(bad)

    def _read(self, split: str) -> tuple[list[Record], list[dict[str, str]]]:
        """Records and quarantine of a split, which are read once."""
        if split in self._read_splits:
            return self._read_splits[split]
        rows = self._rows(split)
        frames = self._frames(split, rows)
        # A list without any label is a test split's. In any other, a missing label is a fault.
        labelled = any(label for _, label in rows)
        records, bad, earlier_clips = [], [], set()
        for clip, label in rows:
            cause = _name_cause(clip, earlier_clips)
            if not cause and isinstance(frames[clip], str):
                cause = frames[clip]
            if not cause and labelled:
                cause = self._label_cause(label)
            if cause:
                bad.append({"id": clip, "cause": cause})
            else:
                records.append(Record(clip, label, frames[clip]))
            earlier_clips.add(clip)
        self._read_splits[split] = records, bad
        return records, bad

    @cached_property
    def _read_splits(self) -> dict[str, tuple[list[Record], list[dict[str, str]]]]:
        return {}

    def _label_cause(self, label: str) -> str:
        """Why a label cannot be used; "" where it can."""
        if label in self._class_set:
            return ""
        if not label:
            return "no label in the list"
        nearest = did_you_mean(label, self.classes)
        return f"label {label!r} is not among the {len(self.classes)} classes.{nearest}"

    @cached_property
    def _class_set(self) -> frozenset[str]:
        return frozenset(self.classes)

    @cached_property
    def _root(self) -> Path:
        return Path(self.root).expanduser().resolve()

    @cached_property
    def _lists(self) -> dict[str, str]:
        """Paths of the lists by LIST_NAMES, from the first folder that has the list of a split."""
        root = self._root
        if not self.root or not root.is_dir():
            what = f"There is no folder {root}"
            if not self.root:
                what = "data.root is empty"
            raise MissingData(
                f"{what}: a folder with Jester's frames and lists was looked for.\n{HOW_TO_GET}"
            )
        folders = [root, *_subfolders(root, LIST_FOLDERS), *_subfolders(root.parent, LIST_FOLDERS)]
        # The folder above may hold lists of something else: it counts only where the root is the
        # frames folder itself.
        if root.name.lower() in FRAME_FOLDERS:
            folders.append(root.parent)
        for folder in folders:
            lists = _lists_in(folder)
            # A folder with labels alone is not the place of the lists.
            if lists.keys() & set(SPLITS):
                return lists
        self._refuse_parts()
        raise MissingData(
            f"There are no lists in {root}: jester-v1-train.csv, train.csv or Train.csv "
            "was looked for,\n"
            f"there, in its folders labels and annotations, and in those beside it.\n{HOW_TO_GET}"
        )

    def _rows(self, split: str) -> list[tuple[str, str]]:
        """(id, label) of each row in the list of a split; answers of the test split are labels."""
        if split not in self.splits:
            raise DataError(
                f"There is no split {split!r} in {self.root}.{did_you_mean(split, self.splits)}\n"
                f"It has {', '.join(self.splits)}."
            )
        rows = read_list(self._lists[split])
        if split != "test" or "test-answers" not in self._lists:
            return rows
        # The list of the test split was published without labels, and the answers later.
        answers = dict(read_list(self._lists["test-answers"]))
        answered_rows = []
        for clip, label in rows:
            answered_rows.append((clip, label or answers.get(clip, "")))
        return answered_rows

    def _frames(self, split: str, rows: list[tuple[str, str]]) -> dict[str, Frames | str]:
        """The frames of each clip of a split, or why it has none. Raises DataError, MissingData."""
        list_path = self._lists[split]
        clips = [clip for clip, _ in rows]
        if not clips:
            raise DataError(f"The list {list_path} is empty.")
        folders = self._frame_folders(split)
        for folder in [*folders, self._root]:
            # One clip is enough: those that are missing go to the quarantine.
            if any(os.path.isdir(os.path.join(folder, clip)) for clip in clips):
                index = ""
                if self.cache_dir:
                    index = index_path(
                        self.cache_dir, str(folder), split=split, list_path=list_path
                    )
                return list_frames(
                    str(folder), clips, frames_per_second=FRAMES_PER_SECOND, index=index
                )
        self._refuse_parts()
        searched = ", ".join([*(f"{folder.name}/" for folder in folders), "the root itself"])
        raise MissingData(
            f"There are lists in {self._root}, but no frames: "
            f"of the {len(clips)} clips of {Path(list_path).name},\n"
            f"such as {clips[0]}, none has a folder in {searched}.\n{HOW_TO_GET}"
        )

    def _frame_folders(self, split: str) -> list[Path]:
        """The folders below the root that may hold the clips of a split, the likeliest first."""
        short = "val" if split == "validation" else split
        names = tuple(dict.fromkeys((split, short, *FRAME_FOLDERS)))
        folders = []
        for folder in _subfolders(self._root, names):
            # An archive that was unpacked into a folder of its name has the same folder once more.
            folders += [folder, *_subfolders(folder, names)]
        return folders

    def _refuse_parts(self) -> None:
        """Raises MissingData where the root holds the parts of the archive, not yet unpacked."""
        for path in sorted(self._root.iterdir()):
            match = PART.match(path.name)
            if match and path.is_file():
                raise MissingData(
                    f"{self._root} holds Jester as it is shipped, "
                    f"in parts ({path.name}, ...). Unpack it:\n"
                    f"cd '{self._root}' && cat {match[1]}-?? | tar zx"
                )


def _name_cause(clip: str, earlier_clips: set[str]) -> str:
    """Why a row of a list cannot be used, by its name alone; "" where it can."""
    if leads_outside(clip):
        return "its name leads out of the frames folder"
    if clip in earlier_clips:
        return "listed more than once"
    return ""


def _read_labels(path: str) -> list[str]:
    """The first cell of each row of a labels file. Raises DataError where one comes twice."""
    names = [row[0] for row in read_rows(path, delimiter=";")]
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{path} names {name!r} more than once.")
    return names


def _lists_in(folder: Path) -> dict[str, str]:
    """The lists in a folder by LIST_NAMES: 20bn-jester-v1-val.csv is that of "validation"."""
    lists = {}
    for path in sorted(folder.iterdir()):
        # The lists of version 1 have a prefix, those of 2022 and of Kaggle have none.
        name = re.sub(r"^(20bn-?)?(jester-)?(v1-)?", "", path.name.lower())
        if name == "val.csv":
            name = "validation.csv"
        stem = name.removesuffix(".csv")
        if stem in LIST_NAMES and stem != name and path.is_file():
            lists[stem] = str(path)
    return lists


def _subfolders(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The folders in `folder` with these names in any case, in the order of the names."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        # The folder above the root may be closed to us.
        return []
    paths_by_name = {entry.name.lower(): Path(entry.path) for entry in entries}
    folders = []
    for name in names:
        if name in paths_by_name and paths_by_name[name].is_dir():
            folders.append(paths_by_name[name])
    return folders
