"""The records of a split, and what a run may rely on to stay the same.

Clips that have to be left out are written down, and a run refuses data other than it was begun
with.
"""

import json
import logging
import os
import zlib
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from vidjax.core.errors import DataError, StorageError, UserError
from vidjax.core.names import counted, no_such
from vidjax.data.flow import import_opencv
from vidjax.data.records import Record
from vidjax.experiment.assembly import Experiment
from vidjax.run.workdir import write_json

log = logging.getLogger("vidjax")

SHOWN_CLIPS = 2  # bad clips that a message lists; all of them are in quarantine.json


def load_split(experiment: Experiment, split: str, workdir: Path | None = None) -> list[Record]:
    """The records of a split; clips that cannot be used go to `quarantine.json` of the work folder.

    Without a folder nothing is written.

    Raises UserError for a split that does not exist, DataError where more than `data.max_bad` of
    the clips are bad, or a label is unknown.
    """
    source = experiment.source
    if experiment.flow is not None:
        import_opencv()  # a package that is missing is told now, and not at the first batch
    if split not in source.splits:
        raise UserError(no_such("split", split, source.splits))
    records, bad = source.records(split), source.quarantine(split)
    # Written before anything is refused, so that the refusal can point to the list.
    if workdir is not None:
        write_quarantine(workdir, split, bad)
    total = len(records) + len(bad)
    share = len(bad) / max(total, 1)
    if share > experiment.config.data.max_bad:
        raise DataError(_too_many_are_bad(bad, total, split=split, workdir=workdir))
    if bad:
        where = "" if workdir is None else f", see {workdir / 'quarantine.json'}"
        log.warning("left out: %s%s", counted(len(bad), f"{split} clip"), where)
    if not records:
        raise DataError(f"The {split} split has no clips.")
    # Now, and not in the middle of the training, when the clip's turn comes.
    for record in records:
        experiment.task.encode(record)  # raises DataError for a label that is no class
    return records


def _too_many_are_bad(bad: list[dict], total: int, *, split: str, workdir: Path | None) -> str:
    shown = "; ".join(f"{row['id']}: {row['cause']}" for row in bad[:SHOWN_CLIPS])
    if len(bad) > SHOWN_CLIPS:
        shown += "; ..."
    full_stop = "" if shown.endswith("?") else "."
    advice = ""
    if len(bad) < total:  # else nothing is left to go on with
        enough = -(-100 * len(bad) // total) / 100  # the share, rounded up to a hundredth
        advice = f"To go on without them: --config.data.max_bad={enough:.2f}"
    listed = ""
    if workdir is not None:
        listed = f"All are listed in {workdir / 'quarantine.json'}.\n"
    return (
        f"{len(bad)} of {total} {split} clips cannot be used: {shown}{full_stop}\n{listed}{advice}"
    ).rstrip()


def require_labels(records: Sequence[Record], split: str) -> None:
    """Raises UserError where a clip has no label to train on or to compare with."""
    for record in records:
        if record.label == "":
            raise UserError(
                f"The {split} split has no labels to compare with: clip {record.id} has none."
            )


def write_quarantine(workdir: Path, split: str, bad: list[dict[str, Any]]) -> None:
    """Sets the rows of one split in `quarantine.json`; other splits keep theirs."""
    path = workdir / "quarantine.json"
    table = {}
    if path.exists():
        try:
            table = dict(json.loads(path.read_text()))
        except (ValueError, TypeError):  # damaged; the rows of other splits come with their reading
            log.warning("%s is damaged and written again", path)
    write_json(path, {**table, split: bad})


def settle_data(workdir: Path, classes: Sequence[str], train: Sequence[Record] = ()) -> None:
    """Writes `data.json`: the classes in order, and a checksum of the training clips.

    If the folder has a checkpoint, it compares instead. Without training clips (an evaluation) it
    compares the classes alone. Labels are indices from here on, and the order of clips is a
    permutation of their list: with other classes or clips a resumed run, or an evaluation, would be
    silently wrong. Raises UserError with the first difference.
    """
    path = workdir / "data.json"
    listing = "\n".join(
        f"{record.id};{_label_text(record)}{_truth_text(record)}" for record in train
    )
    now = {"classes": list(classes), "train": [len(train), zlib.crc32(listing.encode())]}
    is_begun = path.exists() and any((workdir / "checkpoints").glob("*.json"))
    if not is_begun:
        if train:
            write_json(path, now)
        return
    old_classes, old_train = _read_data_json(path)
    # The classes first: with others the clips differ as well, and say less.
    _compare_classes(old_classes, now["classes"], workdir)
    if train and old_train != now["train"]:
        same_number = old_train[0] == len(train)
        names = ", with other names or labels" if same_number else ""
        raise UserError(
            f"The training clips are not those that {workdir} was begun with: "
            f"{old_train[0]} then, {len(train)} now{names}.\n"
            "Restore the list and the frames, or train in a new --workdir."
        )


def _read_data_json(path: Path) -> tuple[list[str], list[int]]:
    """The classes, and the number and checksum of the training clips. Raises StorageError."""
    try:
        content = json.loads(path.read_text())
        num_clips, checksum = content["train"]
        return list(content["classes"]), [int(num_clips), int(checksum)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is damaged ({error!r}), so that nothing says which clips the run was begun "
            "with. Train in a new --workdir."
        ) from error


def read_classes(run: Path) -> tuple[str, ...]:
    """The classes of a run in order, from its `data.json`. Raises StorageError."""
    classes, _ = _read_data_json(run / "data.json")
    return tuple(classes)


def _label_text(record: Record) -> str:
    """A label as the checksum has it: a name, or names with commas between."""
    if isinstance(record.label, str):
        return record.label
    return ",".join(record.label)


def _truth_text(record: Record) -> str:
    """What a record says of times and places, as the checksum has it; "" where it says nothing."""
    parts = []
    for segment in record.segments:
        parts.append(f"{segment.start}-{segment.end}:{segment.label}")
    for track in record.boxes or ():
        digest = zlib.crc32(np.asarray(track.frames).tobytes() + np.asarray(track.boxes).tobytes())
        parts.append(f"{track.label}:{digest}")
    # The pixels of masks are not read for this: it would take as long as reading the set.
    if record.masks is not None:
        parts.append(os.path.basename(record.masks.location))
    return "".join(f";{part}" for part in parts)


def _compare_classes(then: list[str], now: list[str], workdir: Path) -> None:
    """Raises UserError with the first class that differs."""
    for place, (old, new) in enumerate(zip_longest(then, now, fillvalue="nothing")):
        if old != new:
            raise UserError(
                f"The classes are not those that {workdir} was trained on: "
                f"class {place} was {old!r} and is {new!r}.\n"
                "Name the data set of the run, or train in a new --workdir."
            )
