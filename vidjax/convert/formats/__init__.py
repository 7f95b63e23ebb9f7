"""Readers of weight files, one format a file: bytes on the disk -> NumPy arrays by name.

| form | recognised by | names |
|---|---|---|
| PyTorch, a zip | `*/data.pkl` in it | of the state dict |
| PyTorch, before 1.6 | its magic number | of the state dict |
| safetensors | a header in JSON, with its length before it | of the header |
| TensorFlow.js, a folder or a zip | `model.json` in it | of the manifest |
| TensorFlow checkpoint | `<path>.index` beside it | of the variables |

Files come from strangers. Nothing in them is run, and what they claim about sizes is checked before
memory is set aside for it.
"""

import os
from pathlib import Path

import numpy as np

from vidjax.convert.formats import archive, safetensors_file, tfjs, torch_file
from vidjax.convert.formats.quoting import quoted
from vidjax.core.errors import ConvertError

MAX_BYTES = 8 * 2**30  # of a file, and of what it unpacks to
HEAD_BYTES = 512  # at the beginning of a file: enough to recognise every form, and a tar
ZIP_MAGIC = b"PK\x03\x04"
FORMS = (
    "Known are files of torch.save, safetensors, exports of TensorFlow.js (a folder or a zip with "
    "model.json)\nand checkpoints of TensorFlow (the path before .index)."
)
# What people often have in place of the file that they wanted, by its first bytes.
MISTAKES = {
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself",
    b"<": "a web page: download again",
}


def read(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a weight file by name; they may be read-only, and may share memory.

    bfloat16 comes as float32. A state dict is taken out of what a training script wraps around it,
    and a prefix `module.` that all its names have is removed.

    Raises ConvertError for a file of no known form, for one that is damaged or hostile, and for one
    of more than `max_bytes`.
    """
    path = Path(path)
    if (path / "checkpoints").is_dir():
        raise ConvertError(
            f"{path} is the folder of a run, and no file. This writes its weights into one:\n"
            f"python launch.py --job import_weights --from {path} --to {path.name}.safetensors"
        )
    prefix = _checkpoint_prefix(path)
    if prefix is not None:
        # Here, because importing TensorFlow takes seconds, and it may not be installed.
        from vidjax.convert.formats import tensorflow_checkpoint

        return tensorflow_checkpoint.read(prefix)
    try:
        return _read(path, max_bytes)
    except ConvertError as error:
        raise ConvertError(f"{path} is not read: {error}") from error


def _checkpoint_prefix(path: Path) -> Path | None:
    """The prefix of a TensorFlow checkpoint that a path names; None where it names no such one."""
    if path.is_dir():
        return None
    if path.suffix == ".index":
        prefix = path.with_suffix("")
    elif path.exists():
        return None
    else:
        prefix = path
    index = prefix.with_name(f"{prefix.name}.index")
    return prefix if index.is_file() else None


def _read(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """`read` without TensorFlow checkpoints, and with errors that do not name the file."""
    if path.is_dir():
        return tfjs.read_folder(path, max_bytes)
    if not path.exists():
        raise ConvertError("there is no such file.")
    if not path.is_file():
        raise ConvertError("it is no file.")
    size = path.stat().st_size
    if size > max_bytes:
        raise ConvertError(f"it has {size:,} bytes, more than the limit of {max_bytes:,}.")
    # The content decides: people choose the suffixes of weight files freely.
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(ZIP_MAGIC):
        return _read_zip(path, max_bytes)
    if torch_file.is_legacy(head):
        return _without_prefix(torch_file.read_legacy(path, max_bytes))
    if safetensors_file.is_safetensors(head):
        return _without_prefix(safetensors_file.read(path, head))
    if path.name == tfjs.MODEL:
        return tfjs.read_folder(path.parent, max_bytes)
    raise ConvertError(_unknown_form(head))


def _read_zip(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The arrays of a zip, which is PyTorch's or an export of TensorFlow.js."""
    with archive.opened(path, max_bytes) as file:
        names = list(file.entries)
    if len(torch_file.pickles_in(names)) == 1:
        return _without_prefix(torch_file.read_zip(path, max_bytes))
    if any(name.rpartition("/")[2] == tfjs.MODEL for name in names):
        return tfjs.read_zip(path, max_bytes)
    examples = ", ".join(quoted(name, 40) for name in names[:3])
    raise ConvertError(f"it is a zip without data.pkl or model.json; it has {examples}.\n{FORMS}")


def _without_prefix(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names without the `module.` that PyTorch's DataParallel puts before all of them."""
    if not all(name.startswith("module.") for name in arrays):
        return arrays
    return {name.removeprefix("module."): array for name, array in arrays.items()}


def _unknown_form(head: bytes) -> str:
    """What a message says about a file that begins so and is of no known form."""
    for beginning, what in MISTAKES.items():
        if head.lstrip().startswith(beginning):
            return f"it is {what}."
    if head[257:262] == b"ustar":
        return "it is a tar, PyTorch's form of before 2017: load it in PyTorch and save it again."
    if head[:1] == b"\x80":
        return f"it is a pickle that PyTorch did not write.\n{FORMS}"
    return f"it is of no known form.\n{FORMS}"
