"""The records of a split, with what had to be left out written down, and what a run may rely on to stay the same."""

import json
import logging
import zlib
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vidjax.core.errors import DataError, UserError
from vidjax.core.names import no_such
from vidjax.data.sources import Record
from vidjax.run.workdir import write_json

log = logging.getLogger("vidjax")


def load_split(source: Any, split: str, config: ConfigDict, workdir: Path) -> list[Record]:
    """The records of a split; clips that cannot be used go to `quarantine.json`.

    Raises UserError for a split that does not exist, DataError where more than `data.max_bad` of the clips are bad.
    """
    if split not in source.splits:
        raise UserError(no_such("split", split, source.splits))
    records, bad = source.records(split), source.quarantine(split)
    write_quarantine(workdir, split, bad)
    share = len(bad) / max(len(records) + len(bad), 1)
    if share > config.data.max_bad:
        shown = "; ".join(f"{row['id']}: {row['cause']}" for row in bad[:2])
        raise DataError(
            f"{len(bad)} of {len(records) + len(bad)} {split} clips cannot be used: "
            f"{shown}{'; ...' if bad[2:] else ''}.\n"
            f"All are listed in {workdir / 'quarantine.json'}.\n"
            f"To go on without them: --config.data.max_bad={-(-share * 100 // 1) / 100:.2f}"
        )
    if bad:
        log.warning(
            "%d %s clips are left out, see %s", len(bad), split, workdir / "quarantine.json"
        )
    if not records:
        raise DataError(f"The {split} split has no clips.")
    return records


def write_quarantine(workdir: Path, split: str, bad: list[dict]) -> None:
    """Sets the rows of one split in `quarantine.json`; other splits keep theirs."""
    path = workdir / "quarantine.json"
    table = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, {**table, split: bad})


def settle_data(workdir: Path, classes: Sequence[str], train: Sequence[Record] = ()) -> None:
    """Writes `data.json`: the classes in order and a checksum of the training clips; in an old run compares with it.

    Without training clips (an evaluation) it compares the classes alone.

    Labels are indices from here on, and the order of clips is a permutation of their list: with other classes or other
    clips a resumed run, or an evaluation, would be silently wrong. Raises UserError with the first difference.
    """
    path = workdir / "data.json"
    clips = zlib.crc32("\n".join(f"{record.id};{record.label}" for record in train).encode())
    now = {"classes": list(classes), "train": [len(train), clips]}
    if not path.exists() or not any((workdir / "checkpoints").glob("*.json")):
        if train:
            write_json(path, now)
        return
    then = json.loads(path.read_text())
    if then["classes"] != now["classes"]:
        places = zip_longest(then["classes"], now["classes"], fillvalue="nothing")
        place, (old, new) = next((i, pair) for i, pair in enumerate(places) if pair[0] != pair[1])
        raise UserError(
            f"The classes are not those that {workdir} was trained on: class {place} was {old!r} and is {new!r}.\n"
            "Name the data set of the run, or train in a new --workdir."
        )
    if train and then["train"] != now["train"]:
        raise UserError(
            f"The training clips are not those that {workdir} was begun with: {then['train'][0]} then, {len(train)} now"
            f"{', with other names or labels' if then['train'][0] == len(train) else ''}.\n"
            "Restore the list and the frames, or train in a new --workdir."
        )
