"""Files of torch.save -> a state dict in NumPy, without PyTorch and without running the file.

Since PyTorch 1.6 a file is a zip: `<name>/data.pkl`, a file for each storage under `<name>/data/`,
and in newer ones `<name>/byteorder`. Before, it was five pickles in a row (a magic number, a
version, facts on the machine, the object, the keys of the storages) and then the storages, each
behind its number of elements; always little-endian.
"""

import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vidjax.convert.formats import archive, pickles, torch_tensor
from vidjax.convert.formats.pickle_names import Placeholder
from vidjax.convert.formats.quoting import quoted
from vidjax.convert.formats.torch_tensor import Storage, Tensor
from vidjax.core.errors import ConvertError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
MAX_TENSORS = 10_000
BYTE_ORDERS = {b"little": "<", b"big": ">"}
# Training scripts keep the state dict under one of these; the first that has tensors counts.
WRAPPERS = ("state_dict", "model_state", "model", "model_state_dict", "net")
MAX_WRAPPERS = 2  # one in the other


@dataclass
class Storages:
    """The storages of a file: each is read once, and only if a tensor needs it."""

    read: Callable[[Storage], bytes]
    byte_order: str  # "<" or ">"
    elements: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)  # by key and dtype

    def array(self, tensor: Tensor) -> np.ndarray:
        """A tensor that `torch_tensor.num_elements` has accepted. Raises ConvertError."""
        storage = tensor.storage
        # An empty tensor need not have a storage in the file.
        if 0 in tensor.shape:
            return torch_tensor.values(b"", storage.dtype, self.byte_order).reshape(tensor.shape)
        key = (storage.key, storage.dtype)
        if key not in self.elements:
            data = self.read(storage)
            if len(data) % storage.itemsize:
                raise ConvertError("its storage does not end with an element.")
            self.elements[key] = torch_tensor.values(data, storage.dtype, self.byte_order)
        elements = self.elements[key]
        end = storage.start + storage.size
        if end > len(elements):
            raise ConvertError(f"its storage has {len(elements):,} elements of {end:,}.")
        return torch_tensor.view(tensor, elements)


def is_legacy(head: bytes) -> bool:
    """Whether a file that begins so is of the form before 1.6, by any protocol of its pickles."""
    return MAGIC.to_bytes(10, "little") in head[:32] or head.startswith(b"L%dL\n." % MAGIC)


def pickles_in(names: Iterable[str]) -> list[str]:
    """The names of a zip's entries that are `<name>/data.pkl`; a file of torch.save has one."""
    return [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]


def read_zip(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The state dict of a zip with one data.pkl. Raises ConvertError, which does not name it."""
    with archive.opened(path, max_bytes) as file:
        (name,) = pickles_in(file.entries)
        folder = name.removesuffix("data.pkl")
        if f"{folder}constants.pkl" in file.entries:
            raise ConvertError(
                "it is a TorchScript program: save its state_dict() in PyTorch instead."
            )
        order = b"little"
        if f"{folder}byteorder" in file.entries:
            order = file.read(f"{folder}byteorder", limit=16)
        if order not in BYTE_ORDERS:
            raise ConvertError("its byte order is neither little nor big.")
        stream = io.BytesIO(file.read(name, limit=pickles.MAX_BYTES))
        value = pickles.load(stream, torch_tensor.CALLS, torch_tensor.storage)

        def read(storage: Storage) -> bytes:
            return file.read(f"{folder}data/{storage.key}")

        return arrays(value, Storages(read, BYTE_ORDERS[order]), max_bytes)


def read_legacy(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The state dict of a file of before 1.6. Raises ConvertError, which does not name the file."""
    # All storages that the pickle refers to: their lengths are needed to locate them in the file.
    storages: dict[str, Storage] = {}

    def storage(reference: Any) -> Storage:
        described = torch_tensor.storage(reference)
        first = storages.setdefault(described.key, described)
        if first.dtype != described.dtype:
            raise ConvertError("it has one storage with two kinds of numbers.")
        return described

    with open(path, "rb") as file:
        stream = io.BytesIO(file.read(pickles.MAX_BYTES))
        magic = pickles.load(stream)
        version = pickles.load(stream)
        if (magic, version) != (MAGIC, VERSION):
            raise ConvertError("it is of a version of PyTorch's form that is not known.")
        pickles.load(stream)  # facts on the machine, which are not needed
        value = pickles.load(stream, torch_tensor.CALLS, storage)
        keys = pickles.load(stream)
        file.seek(stream.tell())
        places = _places(file, keys, storages)

        def read(storage: Storage) -> bytes:
            if storage.key not in places:
                raise ConvertError(
                    f"it has no storage {quoted(storage.key)}: it is damaged or not whole."
                )
            start, length = places[storage.key]
            file.seek(start)
            return file.read(length)

        return arrays(value, Storages(read, "<"), max_bytes)


def _places(
    file: io.BufferedReader, keys: Any, storages: dict[str, Storage]
) -> dict[str, tuple[int, int]]:
    """(start, number of bytes) of each storage, which follow one another from the file's position.

    Raises ConvertError for a storage that would not lie in the file.
    """
    end = os.fstat(file.fileno()).st_size
    start = file.tell()
    places = {}
    wrong_keys = "its list of storages is not that of its tensors."
    if type(keys) is not list:
        raise ConvertError(wrong_keys)
    for key in keys:
        if type(key) is not str or key not in storages or key in places:
            raise ConvertError(wrong_keys)
        file.seek(start)
        count = int.from_bytes(file.read(8), "little", signed=True)
        start += 8
        length = count * storages[key].itemsize
        if not 0 <= length <= end - start:
            raise ConvertError(
                f"it ends before the last of its storage {quoted(key)}: it is damaged or not whole."
            )
        places[key] = (start, length)
        start += length
    return places


def arrays(value: Any, storages: Storages, max_bytes: int) -> dict[str, np.ndarray]:
    """The arrays of the state dict in an unpickled value, read-only.

    Raises ConvertError, also where they would fill more than `max_bytes` when written out: a stride
    of 0 repeats an element as often as a file likes.
    """
    tensors = state_dict(value)
    if len(tensors) > MAX_TENSORS:
        raise ConvertError(f"it has {len(tensors):,} tensors, at most {MAX_TENSORS:,} are read.")
    total = 0
    result = {}
    for name, tensor in tensors.items():
        try:
            total += torch_tensor.num_elements(tensor) * tensor.storage.itemsize
            if total > max_bytes:
                raise ConvertError(f"with it they are over the limit of {max_bytes:,} bytes.")
            result[name] = storages.array(tensor)
        except ConvertError as error:
            raise ConvertError(f"its tensor {quoted(name)}: {error}") from error
    return result


def state_dict(value: Any) -> dict[str, Tensor]:
    """The tensors by name in what a script saved: its own dict, or the one under one of WRAPPERS.

    Everything else (epoch, optimiser, best accuracy as a tensor) is left out. Raises
    ConvertError.
    """
    if not isinstance(value, dict):
        what = value.name if isinstance(value, Placeholder) else type(value).__name__
        raise ConvertError(
            f"it holds one {quoted(what)}, not a dict: save a module's state_dict() in PyTorch."
        )
    named_tensors = _unwrapped(value)
    if named_tensors is None:
        raise ConvertError(_no_state_dict(value))
    tensors = {}
    for name, item in named_tensors.items():
        if isinstance(item, Placeholder) and _is_tensor(item):
            raise ConvertError(
                f"its tensor {quoted(name)} is sparse, quantized or of another kind that is not "
                "read."
            )
        if isinstance(name, str) and isinstance(item, Tensor):
            tensors[name] = item
    return tensors


def _unwrapped(value: dict, depth: int = MAX_WRAPPERS) -> dict | None:
    """The innermost dict with tensors under WRAPPERS, or else this one; None without tensors.

    The depth is limited because a dict of a pickle may hold itself.
    """
    if depth > 0:
        for key in WRAPPERS:
            inner = value.get(key)
            if isinstance(inner, dict):
                unwrapped = _unwrapped(inner, depth - 1)
                if unwrapped is not None:
                    return unwrapped
    for name, item in value.items():
        if isinstance(name, str) and _is_tensor(item):
            return value
    return None


def _no_state_dict(value: dict) -> str:
    """What a message says about a dict without a state dict."""
    for key in WRAPPERS:
        module = value.get(key)
        if isinstance(module, Placeholder):
            return (
                f"it holds a whole {quoted(module.name)}: save its state_dict() in PyTorch instead."
            )
    names = ", ".join(quoted(name, 24) for name in list(value)[:4])
    return (
        f"it holds no state dict, at the top or under {', '.join(WRAPPERS)}; "
        f"it holds {names or 'nothing'}."
    )


def _is_tensor(value: Any) -> bool:
    """Whether it is a tensor, also of a kind that is not read: that is reported, not left out."""
    if isinstance(value, Placeholder):
        return "._rebuild" in value.name
    return isinstance(value, Tensor)
