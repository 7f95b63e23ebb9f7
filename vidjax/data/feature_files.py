"""Features on disk: what a network gave for each clip of a split, in safetensors files of rows.

A folder of features has

    features.json                         what the features are, written last: see `write_index`
    <split>-00000-of-00003.safetensors    shards; `features`, float32 [rows, ...], a row for a clip
    <split>.jsonl                         a line for each clip, in the order of the split:
                                          {"id", "label", "shard", "row"}

A label is a name, a list of names, or "" where the clip has none.
"""

import functools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from vidjax.core import files
from vidjax.core.errors import DataError, MissingData
from vidjax.data.lists import leads_outside

INDEX = "features.json"
ARRAY = "features"  # the name of the array in a shard
SHARD_BYTES = 256 * 2**20  # of a shard, at most, unless a single row is larger
VERSION = 1  # of this format; a reader refuses a newer one
KEYS = {"version": int, "shape": list, "classes": list, "splits": dict}  # that reading needs


def write_split(
    folder: Path, split: str, *, records: Sequence[Any], rows: Iterable[np.ndarray]
) -> list[str]:
    """Writes the shards and the list of a split; returns the names of the shards.

    Args:
        folder: where they go.
        split: the name of the split.
        records: its clips, with `id` and `label`.
        rows: arrays [n, ...], of one shape but for n; together a row for each clip, in order.

    Shards of an earlier writing go. Raises StorageError.
    """
    count = len(records)
    names: list[str] = []
    lines = []
    for shard in _shards(rows, count):
        name = f"{split}-{len(names):05d}-of-{shard.total:05d}.safetensors"
        content = safetensors.numpy.save({ARRAY: np.ascontiguousarray(shard.rows)})
        files.write_bytes(folder / name, content)
        for row in range(len(shard.rows)):
            record = records[len(lines)]
            entry = {"id": record.id, "label": record.label, "shard": name, "row": row}
            lines.append(json.dumps(entry) + "\n")
        names.append(name)
    if len(lines) != count:
        raise ValueError(f"{len(lines)} rows were written for {count} clips")
    files.write_text(folder / f"{split}.jsonl", "".join(lines))
    for path in folder.glob(f"{split}-*-of-*.safetensors"):
        if path.name not in names:
            path.unlink()
    return names


class _Shard(NamedTuple):
    """The rows of a shard, and how many shards the split has."""

    rows: np.ndarray
    total: int


def _shards(arrays: Iterable[np.ndarray], count: int) -> Iterator[_Shard]:
    """Cuts arrays [n, ...] of `count` rows in all into shards of at most SHARD_BYTES."""
    kept: list[np.ndarray] = []
    num_kept = 0
    for array in arrays:
        # Every row is as large, so the number of shards is known before they are full.
        per_shard = max(1, SHARD_BYTES // max(array[:1].nbytes, 1))
        total = -(-count // per_shard)
        kept.append(array)
        num_kept += len(array)
        while num_kept >= per_shard:
            rows = np.concatenate(kept)
            yield _Shard(rows[:per_shard], total)
            kept = [rows[per_shard:]]
            num_kept -= per_shard
    if num_kept:
        yield _Shard(np.concatenate(kept), total)


def begin(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """The splits that the folder has of the same features, which a further split joins.

    `about` is what features.json will say of them, without "splits". Where the folder holds other
    features, its features.json goes: whoever is interrupted from here on leaves no index of one
    network over rows of another.
    """
    try:
        index = read_index(folder)
    except DataError:  # none, or a damaged one
        index = {}
    # As JSON has it: there are no tuples in the file.
    comparable = json.loads(json.dumps(about, default=str))
    if index and all(index.get(key) == value for key, value in comparable.items()):
        return index["splits"]
    (folder / INDEX).unlink(missing_ok=True)
    return {}


def write_index(folder: Path, about: dict[str, Any]) -> None:
    """Writes features.json, after all splits. Raises StorageError.

    `about` has "shape" (of a row), "classes" and "splits" (name -> {"num_clips", "shards"}), and
    whatever else the writer knows of the features.
    """
    files.write_json(folder / INDEX, {"version": VERSION, **about})


def read_index(folder: Path) -> dict[str, Any]:
    """The content of features.json. Raises MissingData for none, DataError for a damaged one."""
    path = folder / INDEX
    if not path.is_file():
        raise MissingData(
            f"There are no features in the folder {str(folder)!r}: it has no {INDEX}.\n"
            "Make them with --job features, and name their folder with --config.data.root=DIR."
        )
    try:
        index = json.loads(path.read_text())
        for key, kind in KEYS.items():
            if not isinstance(index[key], kind):
                raise ValueError(f"{key} is {index[key]!r}")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(f"{path} is damaged: {error!r}. Make the features again.") from error
    if index["version"] > VERSION:
        raise DataError(f"{path} is of version {index['version']}; this vidjax reads {VERSION}.")
    return index


def read_list(folder: Path, split: str) -> list[dict[str, Any]]:
    """The lines of a split. Raises DataError where the list is missing or damaged."""
    path = folder / f"{split}.jsonl"
    entries = []
    try:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            # Features may come from elsewhere: a name leads to no file outside their folder.
            if not isinstance(entry["row"], int) or leads_outside(entry["shard"]):
                raise ValueError(f"row {entry['row']!r} of {entry['shard']!r}")
            entries.append({key: entry[key] for key in ("id", "label", "shard", "row")})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error!r}. Make the features again.") from error
    return entries


def shape_of(path: Path) -> tuple[int, ...]:
    """The shape [rows, ...] of a shard, from its header. Raises DataError."""
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            return tuple(file.get_slice(ARRAY).get_shape())
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(f"{path} cannot be read: {error}. Make the features again.") from error


def read_row(path: str, row: int) -> np.ndarray:
    """A row of a shard, float32 [...]; the file is mapped into memory and stays open.

    Raises DataError.
    """
    try:
        status = os.stat(path)
        # A file that was replaced meanwhile is another file under the same name.
        return _opened(path, status.st_ino, status.st_mtime_ns)[row]
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(f"{path} cannot be read: {error}. Make the features again.") from error


@functools.lru_cache(maxsize=64)
def _opened(path: str, inode: int, modified: int) -> Any:
    """The array of a shard, of which only the rows that are asked for are read."""
    return safetensors.safe_open(path, framework="numpy").get_slice(ARRAY)
