"""Lists of clips become records: one data set format is one file, named like the source.

A source is a frozen dataclass `Source` whose fields are paths and numbers, among them `root` and
`cache_dir`. It reads lists and the names of files, and opens no image. It has these members:

    classes: tuple[str, ...]                 label names; the place of a name is its index
    splits: tuple[str, ...]                  those of "train", "validation" and "test" that it has
    num_records(split) -> int                clips in the list, without a look at their frames
    records(split) -> list[Record]           in list order; raises DataError, MissingData
    quarantine(split) -> list[dict]          {"id", "cause"} of each clip that records() leaves out
    flip_swaps: tuple[tuple[str, str], ...]  pairs of labels that a horizontal flip swaps
    about: str                               one sentence that names the data
    synthetic: bool                          whether the data was generated
    frames_per_second: float                 rate of the clips
    clip_shape: tuple[int, int, int, int]    [T, H, W, C] of arrays in place of frames; a source of
                                             frames has no such member
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vidjax.core.errors import DataError, MissingData
from vidjax.core.names import no_such

COMMON_FIELDS = ("root", "cache_dir")  # every source has them


def names() -> list[str]:
    """The sources in this folder, sorted."""
    sources = []
    for module in pkgutil.iter_modules(__path__):
        # A file whose name begins with an underscore helps sources and is none.
        if not module.name.startswith("_"):
            sources.append(module.name)
    return sorted(sources)


def open_source(
    name: str,
    *,
    root: str = "",
    cache_dir: str = "",
    options: Mapping[str, Any] | None = None,
    built_in: Mapping[str, type] | None = None,
) -> Any:
    """The source `name` over the data at `root`.

    Raises MissingData where there is no such source, DataError where it has no such option.

    Args:
        name: a file of this folder, or a name in `built_in`.
        root: the folder of the data set.
        cache_dir: where a source keeps what it makes once; "" for nowhere.
        options: values for the fields that this source has and others do not.
        built_in: Source classes that live in other rooms, by name.
    """
    built_in = dict(built_in or {})
    known_names = sorted({*names(), *built_in})
    if name not in known_names:
        raise MissingData(no_such("data source", name, known_names))
    if name in built_in:
        source_class = built_in[name]
    else:
        source_class = importlib.import_module(f"{__name__}.{name}").Source
    options = dict(options or {})
    known_options = []
    for field in fields(source_class):
        if field.init and field.name not in COMMON_FIELDS:
            known_options.append(field.name)
    for option in options:
        if option not in known_options:
            raise DataError(f"{name}: {no_such('option', option, known_options)}")
    return source_class(root=root, cache_dir=cache_dir, **options)
