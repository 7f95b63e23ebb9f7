"""Safetensors files: the length of a header in 8 bytes, the header in JSON, the arrays."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from vidjax.convert.formats.quoting import quoted
from vidjax.core import files
from vidjax.core.errors import ConvertError

MAX_HEADER = 16 * 2**20  # bytes that are read; safetensors itself allows 100 MB
DTYPES = {"F64", "F32", "F16", "BF16", "I64", "U64", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL"}


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins with these bytes is of this form."""
    return head[8:9] == b"{"


def read(path: Path, head: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file, whose first bytes are `head`; bfloat16 comes as float32.

    Raises ConvertError, which does not name the file.
    """
    if int.from_bytes(head[:8], "little") > MAX_HEADER:
        raise ConvertError(f"it says that its header has over {MAX_HEADER:,} bytes.")
    arrays = {}
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            for name in file.keys():
                dtype = file.get_slice(name).get_dtype()
                # NumPy has no name for some kinds, and the library would fail on them.
                if dtype not in DTYPES:
                    raise ConvertError(
                        f"its array {quoted(name)} is of a kind that is not read, {quoted(dtype)}."
                    )
                array = file.get_tensor(name)
                if dtype == "BF16":
                    array = array.astype(np.float32)
                arrays[name] = array
    except safetensors.SafetensorError as error:
        problem = quoted(str(error), 120)
        raise ConvertError(f"it is a damaged safetensors file: {problem}.") from error
    return arrays


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata in the header of a safetensors file; {} for any other file."""
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            return file.metadata() or {}
    except (OSError, safetensors.SafetensorError):
        return {}


def write(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes a file, whole or not at all; `metadata` goes into its header. Raises StorageError."""
    contiguous = {}
    for name, array in arrays.items():
        # The library writes the bytes as they lie in memory, whatever the strides. This is not
        # ascontiguousarray, which would give a scalar an axis.
        contiguous[name] = np.asarray(array, order="C")
    header = dict(metadata) if metadata else None
    files.write_bytes(Path(path), safetensors.numpy.save(contiguous, header))
