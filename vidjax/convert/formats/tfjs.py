"""TensorFlow.js exports: `model.json`, and the files of weights that its manifest names.

An export is a folder or a zip. The manifest is a list of groups. A group's files, concatenated,
hold its weights one after the other, little-endian. Some are quantized: 8 or 16 bits with a scale
and a minimum.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vidjax.convert.formats import archive
from vidjax.convert.formats.quoting import quoted
from vidjax.core.errors import ConvertError

MODEL = "model.json"
MAX_JSON = 16 * 2**20  # bytes
MAX_WEIGHTS = 20_000  # and files
MAX_SIDE = 2**31
MAX_DIMENSIONS = 32
MAX_ELEMENTS = 2**48  # of a shape without its zeros: NumPy's limit holds for empty arrays, too
MAX_SCALE = 1e38  # float32 ends there
DTYPES = {"float32": "<f4", "int32": "<i4", "uint8": "u1", "bool": "?"}
QUANTIZED = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}

Read = Callable[[str, int], bytes]  # (name of a file, most bytes) -> its content


@dataclass(frozen=True)
class Group:
    """Files, and the rows of the manifest that describe the weights in them."""

    files: list[str]
    rows: list[Any]


def read_zip(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The weights of a zip with one model.json. Raises ConvertError, which does not name it."""
    with archive.opened(path, max_bytes) as file:
        models = [name for name in file.entries if PurePosixPath(name).name == MODEL]
        if len(models) != 1:
            raise ConvertError(f"it has {len(models)} files {MODEL}, one is needed.")
        folder = models[0].removesuffix(MODEL)
        return _weights(lambda name, most: file.read(folder + name, limit=most), max_bytes)


def read_folder(folder: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The weights of a folder with model.json. Raises ConvertError, which does not name it."""

    def read(name: str, most: int) -> bytes:
        path = folder / name
        # A link may lead out of the folder.
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise ConvertError(f"it has no file {quoted(name)} of its own.")
        with open(path, "rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ConvertError(f"its file {quoted(name)} has more than {most:,} bytes.")
        return data

    return _weights(read, max_bytes)


def _weights(read: Read, max_bytes: int) -> dict[str, np.ndarray]:
    """The weights of all groups of an export, whose files `read` reads."""
    groups = _manifest(read(MODEL, MAX_JSON))
    arrays: dict[str, np.ndarray] = {}
    for group in groups:
        parts = []
        for name in group.files:
            parts.append(read(name, max_bytes))
            # The limit is one of all files together.
            max_bytes -= len(parts[-1])
        data = b"".join(parts)
        start = 0
        for row in group.rows:
            name, array = _weight(row, data, start)
            if name in arrays:
                raise ConvertError(f"it has two weights {quoted(name)}.")
            arrays[name] = array
            start += array.size * _stored_dtype(row).itemsize
        if start != len(data):
            raise ConvertError(f"its weights take {start:,} bytes, its files have {len(data):,}.")
    if not arrays:
        raise ConvertError("it has no weights.")
    return arrays


def _manifest(text: bytes) -> list[Group]:
    """The groups of a model.json, with as many files and weights as can be, and no file twice."""
    groups = []
    try:
        for group in json.loads(text)["weightsManifest"]:
            files = [_path_inside(name) for name in group["paths"]]
            groups.append(Group(files, list(group["weights"])))
    # RecursionError is what a million brackets give.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConvertError(
            f"its {MODEL} has no list of weights ({type(error).__name__})."
        ) from error
    if sum(len(group.files) + len(group.rows) for group in groups) > MAX_WEIGHTS:
        raise ConvertError(f"its {MODEL} has over {MAX_WEIGHTS:,} weights.")
    files = set()
    for group in groups:
        for name in group.files:
            # Each file is read whole, so that a small export could ask for one again and again.
            if name in files:
                raise ConvertError(f"its {MODEL} names a file twice.")
            files.add(name)
    return groups


def _path_inside(name: Any) -> str:
    """The normalised name of a file beside model.json, or below. Raises ConvertError for others."""
    if not isinstance(name, str):
        raise TypeError
    path = PurePosixPath(name)
    leads_out = path.is_absolute() or ".." in path.parts
    # A colon or a backslash makes it another path on Windows.
    is_odd = not name or not name.isprintable() or any(char in name for char in "\\:\0")
    if leads_out or is_odd:
        raise ConvertError(f"it names a file outside itself, {quoted(name)}.")
    return str(path)


def _weight(row: Any, data: bytes, start: int) -> tuple[str, np.ndarray]:
    """Name and array of a row of the manifest; its bytes begin at `start`. Raises ConvertError."""
    match row:
        case {"name": str(name), "shape": [*shape], "dtype": str()}:
            pass
        case _:
            raise ConvertError("its list of weights has a row without name, shape or dtype.")
    if len(shape) > MAX_DIMENSIONS or not all(_is_side(size) for size in shape):
        raise ConvertError(f"its weight {quoted(name)} has a shape that is none.")
    dtype = _stored_dtype(row)
    count = math.prod(shape)
    num_elements = math.prod(size for size in shape if size)
    if count * dtype.itemsize > len(data) - start or num_elements >= MAX_ELEMENTS:
        raise ConvertError(f"its files end before the last of its weight {quoted(name)}.")
    if dtype.kind == "b":
        # Any other byte than 0 and 1 would be neither True nor False.
        array = np.frombuffer(data, np.uint8, count, start) != 0
    else:
        array = np.frombuffer(data, dtype, count, start)
    array = array.reshape(shape)
    if row.get("quantization"):
        array = _dequantized(array, row["quantization"])
    return name, array


def _is_side(size: Any) -> bool:
    """Whether a size of a shape is one; True is an int for `isinstance`."""
    return type(size) is int and 0 <= size < MAX_SIDE


def _stored_dtype(row: dict) -> np.dtype:
    """The dtype that a weight has in the files. Raises ConvertError."""
    quantization = row.get("quantization")
    if not quantization and row["dtype"] in DTYPES:
        return np.dtype(DTYPES[row["dtype"]])
    match quantization:
        case {"dtype": str(dtype)} if row["dtype"] == "float32" and dtype in QUANTIZED:
            return np.dtype(QUANTIZED[dtype])
    raise ConvertError(
        f"its weight {quoted(row['name'])} is of a kind that is not read, {quoted(row['dtype'])}."
    )


def _dequantized(stored: np.ndarray, quantization: dict) -> np.ndarray:
    """float32 from quantized values."""
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    scale = quantization.get("scale")
    minimum = quantization.get("min")
    for number in (scale, minimum):
        # NaN is less than nothing, and so refused, too.
        if type(number) not in (int, float) or not abs(number) < MAX_SCALE:
            raise ConvertError("a quantized weight has no scale or minimum.")
    return stored.astype(np.float32) * np.float32(scale) + np.float32(minimum)
