"""One data set format a file: the file name is the source's name, and its `Source` turns lists into records.

A source is a frozen dataclass `Source` whose fields are paths and numbers, among them `root` and `cache_dir`, and has
    classes: tuple[str, ...]                 label names; the place of a name is its index
    splits: tuple[str, ...]                  of "train", "validation" and "test", those it has
    num_records(split) -> int                listed clips, told without looking for their frames
    records(split) -> list[Record]           in list order; raises DataError, MissingData
    quarantine(split) -> list[dict]          {"id", "cause"} of each listed clip that records() leaves out
    flip_swaps: tuple[tuple[str, str], ...]  pairs of labels that a horizontal flip swaps
    about: str, synthetic: bool              one sentence naming the data; whether it was generated
A source reads lists and names of files: it opens no image.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from vidjax.data.errors import DataError, MissingData


@dataclass(frozen=True)
class Record:
    """One clip as a folder of frames; frame `n` is the file f"{path}/{n:0{digits}d}{suffix}"."""

    id: str  # the clip's name in the data set
    path: str  # folder of frames
    num_frames: int
    label: str  # name, "" where the split has no labels
    frames: Sequence[int]  # frame numbers in order, a range where contiguous
    digits: int = 5
    suffix: str = ".jpg"


def names() -> list[str]:
    """The sources there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def open_source(name: str, *, root: str = "", cache_dir: str = "", options: Mapping[str, Any] | None = None) -> Any:
    """The source `name` over the data at `root`; `options` sets those of its fields that other sources don't have.

    Raises MissingData where there is no such source, DataError where it has no such option.
    """
    if name not in names():
        raise MissingData(f"There is no data source {name!r}.{nearest(name, names())}\nSources: {', '.join(names())}.")
    source = importlib.import_module(f"{__name__}.{name}").Source
    options = dict(options or {})
    known = [field.name for field in fields(source) if field.init and field.name not in ("root", "cache_dir")]
    for option in options:
        if option not in known:
            there = f"It has {', '.join(known)}." if known else "It has none."
            raise DataError(f"Data source {name!r} has no option {option!r}.{nearest(option, known)}\n{there}")
    return source(root=root, cache_dir=cache_dir, **options)


def nearest(name: str, known: Sequence[str]) -> str:
    """' Did you mean ...?' with the nearest known name, or '' where none is near."""
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    return f" Did you mean {lower[close[0]]!r}?" if close else ""
