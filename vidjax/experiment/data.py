"""The records of a split, with what had to be left out written down."""

import json
import logging
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vidjax.data.errors import DataError
from vidjax.data.sources import Record
from vidjax.run.errors import UserError, no_such
from vidjax.run.workdir import write_json

log = logging.getLogger("vidjax")


def load_split(source: Any, split: str, config: ConfigDict, workdir: Path) -> list[Record]:
    """The records of a split; clips that cannot be used go to `quarantine.json`.

    Raises UserError for a split that does not exist, DataError where more than `data.max_bad` of the clips are bad.
    """
    if split not in source.splits:
        raise UserError(f"--split: {no_such('split', split, source.splits)}")
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
        log.warning("%d %s clips are left out, see %s", len(bad), split, workdir / "quarantine.json")
    if not records:
        raise DataError(f"The {split} split has no clips.")
    return records


def write_quarantine(workdir: Path, split: str, bad: list[dict]) -> None:
    """Sets the rows of one split in `quarantine.json`; other splits keep theirs."""
    path = workdir / "quarantine.json"
    table = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, {**table, split: bad})
