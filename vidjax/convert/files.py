"""Weight files <-> flat dicts of NumPy arrays: `read` takes every form that is known, `write` makes safetensors.

| form | told by | names |
|---|---|---|
| PyTorch, a zip | `*/data.pkl` in it | of the state dict |
| PyTorch, before 1.6 | its magic number | of the state dict |
| safetensors | a header in JSON, with its length before it | of the header |
| TensorFlow.js, a folder or a zip | `model.json` in it | of the manifest |
| TensorFlow checkpoint | `<path>.index` beside it | of the variables |

Files come from strangers: nothing in them is run, and what they claim about sizes is checked before it is believed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from vidjax.convert.formats import archive, tfjs, torch_file
from vidjax.convert.formats.shown import shown
from vidjax.core import files
from vidjax.core.errors import ConvertError

MAX_BYTES = 8 * 2**30
MAX_HEADER = 16 * 2**20  # of safetensors, which itself allows 100 MB
KNOWN = (
    "Known are files of torch.save, safetensors, exports of TensorFlow.js (a folder or a zip with model.json)\n"
    "and checkpoints of TensorFlow (the path before .index)."
)
# what people have instead of the file they wanted
INSTEAD = {
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself",
    b"<": "a web page: download again",
}
DTYPES = {"F64", "F32", "F16", "BF16", "I64", "U64", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL"}


def read(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a weight file by name; bfloat16 comes as float32. They may share memory and be read-only.

    A state dict is taken out of what a training script wraps around it, and a `module.` that all its names begin with
    goes. Raises ConvertError for a file of no known form, and for a damaged, hostile or larger one than `max_bytes`.
    """
    path = Path(path)
    prefix = path.with_suffix("") if path.suffix == ".index" else path
    if (
        not path.is_dir()
        and prefix.with_name(f"{prefix.name}.index").is_file()
        and (prefix != path or not path.exists())
    ):
        from vidjax.convert.formats import tensorflow_checkpoint

        return tensorflow_checkpoint.read(prefix)
    try:
        return _read(path, max_bytes)
    except ConvertError as error:
        raise ConvertError(f"{path} is not read: {error}") from error


def _read(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    if path.is_dir():
        return tfjs.read_folder(path, max_bytes)
    if not path.is_file():
        raise ConvertError("there is no such file." if not path.exists() else "it is no file.")
    size = path.stat().st_size
    if size > max_bytes:
        raise ConvertError(f"it has {size:,} bytes, more than the limit of {max_bytes:,}.")
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(b"PK\x03\x04"):
        return _read_zip(path, max_bytes)
    if torch_file.is_legacy(head):
        return _without_module(torch_file.read_legacy(path, max_bytes))
    if head[8:9] == b"{":
        if int.from_bytes(head[:8], "little") > MAX_HEADER:
            raise ConvertError(f"it says that its header has over {MAX_HEADER:,} bytes.")
        return _without_module(_read_safetensors(path))
    if path.name == tfjs.MODEL:
        return tfjs.read_folder(path.parent, max_bytes)
    raise ConvertError(_unknown(head))


def _read_zip(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    with archive.opened(path, max_bytes) as file:
        names = list(file.entries)
    if sum(name.count("/") == 1 and name.endswith("/data.pkl") for name in names) == 1:
        return _without_module(torch_file.read_zip(path, max_bytes))
    if any(name.rpartition("/")[2] == tfjs.MODEL for name in names):
        return tfjs.read_zip(path, max_bytes)
    inside = ", ".join(shown(name, 40) for name in names[:3])
    raise ConvertError(f"it is a zip without data.pkl or model.json; it has {inside}.\n{KNOWN}")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    found = {}
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            for name in file.keys():
                dtype = file.get_slice(name).get_dtype()
                if dtype not in DTYPES:
                    raise ConvertError(
                        f"its array {shown(name)} is of a kind that is not read, {shown(dtype)}."
                    )
                array = file.get_tensor(name)
                found[name] = array.astype(np.float32) if dtype == "BF16" else array
    except safetensors.SafetensorError as error:
        raise ConvertError(
            f"it is a damaged safetensors file: {shown(str(error), 120)}."
        ) from error
    return found


def _without_module(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names without the `module.` that DataParallel puts before all of them."""
    if all(name.startswith("module.") for name in arrays):
        return {name.removeprefix("module."): array for name, array in arrays.items()}
    return arrays


def _unknown(head: bytes) -> str:
    for begin, what in INSTEAD.items():
        if head.lstrip().startswith(begin):
            return f"it is {what}."
    if head[257:262] == b"ustar":
        return "it is a tar, PyTorch's form of before 2017: load it in PyTorch and save it again."
    if head[:1] == b"\x80":
        return f"it is a pickle that PyTorch did not write.\n{KNOWN}"
    return f"it is of no known form.\n{KNOWN}"


def write(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes a safetensors file, whole or not at all; `metadata` goes into its header. Raises StorageError."""
    path = Path(path)
    # not ascontiguousarray, which gives scalars an axis; another layout would be written as if it were this one
    dense = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    data = safetensors.numpy.save(dense, dict(metadata) if metadata else None)
    files.write_bytes(path, data)
