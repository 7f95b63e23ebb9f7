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

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from vidjax.core.errors import DataError, MissingData
from vidjax.core.names import no_such


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
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )


def open_source(
    name: str,
    *,
    root: str = "",
    cache_dir: str = "",
    options: Mapping[str, Any] | None = None,
    built_in: Mapping[str, type] | None = None,
) -> Any:
    """The source `name` over the data at `root`.

    Args:
        name: a file of this folder, or a name in `built_in`.
        root: the folder of the data set.
        cache_dir: where a source keeps what it makes once; "" for nowhere.
        options: values for the fields that this source has and others do not.
        built_in: Source classes that live in other rooms, by name.

    Raises MissingData where there is no such source, DataError where it has no such option.
    """
    built_in = dict(built_in or {})
    known_names = sorted({*names(), *built_in})
    if name not in known_names:
        raise MissingData(no_such("data source", name, known_names))
    if name in built_in:
        source = built_in[name]
    else:
        source = importlib.import_module(f"{__name__}.{name}").Source
    options = dict(options or {})
    common = ("root", "cache_dir")
    known = [field.name for field in fields(source) if field.init and field.name not in common]
    for option in options:
        if option not in known:
            raise DataError(f"{name}: {no_such('option', option, known)}")
    return source(root=root, cache_dir=cache_dir, **options)
