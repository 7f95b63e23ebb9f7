"""TensorFlow.js exports -> arrays by their names in the manifest: `model.json` and the files of weights that it names.

An export is a folder or a zip. The manifest is a list of groups; a group's files, one after the other, hold its weights
one after the other, little-endian, some of them as 8 or 16 bits with a scale and a minimum.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vidjax.convert.formats import archive
from vidjax.convert.formats.shown import shown
from vidjax.core.errors import ConvertError

MODEL = "model.json"
MAX_JSON = 16 * 2**20
MAX_WEIGHTS = 20_000
MAX_SIDE = 2**31
MAX_DIMENSIONS = 32
DTYPES = {"float32": "<f4", "int32": "<i4", "uint8": "u1", "bool": "?"}
QUANTIZED = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}

Read = Callable[[str, int], bytes]  # name of a file, most bytes


def read_zip(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The weights of a zip with one model.json. Raises ConvertError, which does not name the file."""
    with archive.opened(path, max_bytes) as file:
        models = [name for name in file.entries if PurePosixPath(name).name == MODEL]
        if len(models) != 1:
            raise ConvertError(f"it has {len(models)} files {MODEL}, one is needed.")
        folder = models[0].removesuffix(MODEL)
        return _weights(lambda name, most: file.read(folder + name, limit=most), max_bytes)


def read_folder(folder: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The weights of a folder with model.json. Raises ConvertError, which does not name the folder."""

    def read(name: str, most: int) -> bytes:
        path = folder / name
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise ConvertError(f"it has no file {shown(name)} of its own.")
        with open(path, "rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ConvertError(f"its file {shown(name)} has more than {most:,} bytes.")
        return data

    return _weights(read, max_bytes)


def _weights(read: Read, max_bytes: int) -> dict[str, np.ndarray]:
    text = read(MODEL, MAX_JSON)
    try:
        groups = json.loads(text)["weightsManifest"]
        tables = [
            ([_inside(name) for name in group["paths"]], list(group["weights"])) for group in groups
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConvertError(
            f"its {MODEL} has no list of weights ({type(error).__name__})."
        ) from error
    if sum(len(paths) + len(rows) for paths, rows in tables) > MAX_WEIGHTS:
        raise ConvertError(f"its {MODEL} has over {MAX_WEIGHTS:,} weights.")
    files = [name for paths, _ in tables for name in paths]
    if len(set(files)) < len(
        files
    ):  # each is read whole: a small one could be asked for again and again
        raise ConvertError(f"its {MODEL} names a file twice.")
    found: dict[str, np.ndarray] = {}
    for paths, rows in tables:
        parts = []
        for name in paths:
            parts.append(read(name, max_bytes))
            max_bytes -= len(parts[-1])
        data, place = b"".join(parts), 0
        for row in rows:
            name, array = _weight(row, data, place)
            place += math.prod(array.shape) * _stored(row).itemsize
            if name in found:
                raise ConvertError(f"it has two weights {shown(name)}.")
            found[name] = array
        if place != len(data):
            raise ConvertError(f"its weights take {place:,} bytes, its files have {len(data):,}.")
    if not found:
        raise ConvertError("it has no weights.")
    return found


def _inside(name: Any) -> str:
    """The name of a file beside model.json, or below. Raises ConvertError."""
    if not isinstance(name, str):
        raise TypeError
    path = PurePosixPath(name)
    if (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or any(c in name for c in "\\:\0")
        or not name.isprintable()
    ):
        raise ConvertError(f"it names a file outside itself, {shown(name)}.")
    return str(path)


def _weight(row: Any, data: bytes, place: int) -> tuple[str, np.ndarray]:
    """Name and array of a row of the manifest, whose bytes begin at `place`. Raises ConvertError."""
    match row:
        case {"name": str(name), "shape": [*shape], "dtype": str()}:
            pass
        case _:
            raise ConvertError("its list of weights has a row without name, shape or dtype.")
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < MAX_SIDE for n in shape):
        raise ConvertError(f"its weight {shown(name)} has a shape that is none.")
    dtype, count = _stored(row), math.prod(shape)
    if count * dtype.itemsize > len(data) - place or math.prod(n for n in shape if n) >= 2**48:
        raise ConvertError(f"its files end before the last of its weight {shown(name)}.")
    raw = np.frombuffer(data, np.uint8 if dtype.kind == "b" else dtype, count, place).reshape(shape)
    if dtype.kind == "b":
        raw = raw != 0
    return name, _scaled(raw, row["quantization"]) if row.get("quantization") else raw


def _stored(row: dict) -> np.dtype:
    """The dtype of a weight in the files. Raises ConvertError."""
    quantization = row.get("quantization")
    if not quantization and row["dtype"] in DTYPES:
        return np.dtype(DTYPES[row["dtype"]])
    dtype = quantization.get("dtype") if isinstance(quantization, dict) else None
    if row["dtype"] == "float32" and isinstance(dtype, str) and dtype in QUANTIZED:
        return np.dtype(QUANTIZED[dtype])
    raise ConvertError(
        f"its weight {shown(row['name'])} is of a kind that is not read, {shown(row['dtype'])}."
    )


def _scaled(raw: np.ndarray, quantization: dict) -> np.ndarray:
    """float32 out of quantized values."""
    if raw.dtype.kind == "f":
        return raw.astype(np.float32)
    scale, least = quantization.get("scale"), quantization.get("min")
    for number in (scale, least):
        if type(number) not in (int, float) or not abs(number) < 1e38:
            raise ConvertError("a quantized weight has no scale or minimum.")
    return raw.astype(np.float32) * np.float32(scale) + np.float32(least)
