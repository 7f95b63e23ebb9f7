"""Files of torch.save -> a state dict in NumPy, without PyTorch and without running what the file says.

Since PyTorch 1.6 a file is a zip: `<name>/data.pkl`, a file for each storage under `<name>/data/`, and in newer ones
`<name>/byteorder`. Before, it was five pickles in a row (a magic number, a version, facts on the machine, the object,
the keys of the storages) and then the storages, each after its number of elements; always little-endian.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vidjax.convert.formats import archive, pickles, torch_tensor
from vidjax.convert.formats.pickle_names import Placeholder
from vidjax.convert.formats.shown import shown
from vidjax.convert.formats.torch_tensor import Storage, Tensor
from vidjax.core.errors import ConvertError

MAGIC = 0x1950A86A20F9469CFC6C
MAX_TENSORS = 10_000
# under which training scripts keep the state dict, the first that has arrays counts
WRAPPERS = ("state_dict", "model_state", "model", "model_state_dict", "net")

Bytes = Callable[[Storage], bytes]


def is_legacy(head: bytes) -> bool:
    """Whether a file that begins so is of the form before 1.6, whatever the protocol of its pickles."""
    return MAGIC.to_bytes(10, "little") in head[:32] or head.startswith(b"L%dL\n." % MAGIC)


def read_zip(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The state dict of a zip that has a data.pkl. Raises ConvertError, which does not name the file."""
    with archive.opened(path, max_bytes) as file:
        (name,) = (n for n in file.entries if n.endswith("/data.pkl") and n.count("/") == 1)
        folder = name.removesuffix("data.pkl")
        if f"{folder}constants.pkl" in file.entries:
            raise ConvertError(
                "it is a TorchScript program: save its state_dict() in PyTorch instead."
            )
        order = b"little"
        if f"{folder}byteorder" in file.entries:
            order = file.read(f"{folder}byteorder", limit=16)
        if order not in (b"little", b"big"):
            raise ConvertError("its byte order is neither little nor big.")
        stream = io.BytesIO(file.read(name, limit=pickles.MAX_BYTES))
        value = pickles.load(stream, torch_tensor.CALLS, torch_tensor.storage)
        return arrays(
            value, lambda s: file.read(f"{folder}data/{s.key}"), "<>"[order == b"big"], max_bytes
        )


def read_legacy(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The state dict of a file of before 1.6. Raises ConvertError, which does not name the file."""
    storages: dict[
        str, Storage
    ] = {}  # all that the pickle refers to: their lengths tell where the next begins

    def storage(reference: Any) -> Storage:
        found = torch_tensor.storage(reference)
        if storages.setdefault(found.key, found).dtype != found.dtype:
            raise ConvertError("it has one storage with two kinds of numbers.")
        return found

    with open(path, "rb") as file:
        stream = io.BytesIO(file.read(pickles.MAX_BYTES))
        if (pickles.load(stream), pickles.load(stream)) != (MAGIC, 1001):
            raise ConvertError("it is of a version of PyTorch's form that is not known.")
        pickles.load(stream)
        value = pickles.load(stream, torch_tensor.CALLS, storage)
        keys = pickles.load(stream)
        places = _places(file, stream.tell(), keys, storages)
        return arrays(value, lambda s: _at(file, places, s), "<", max_bytes)


def _places(
    file: io.BufferedReader, start: int, keys: Any, storages: dict[str, Storage]
) -> dict[str, tuple]:
    """(begin, number of bytes) of each storage in the file, all inside it."""
    end, places = os.fstat(file.fileno()).st_size, {}
    for key in keys if type(keys) is list else [None]:
        if type(key) is not str or key not in storages or key in places:
            raise ConvertError("its list of storages is not that of its tensors.")
        file.seek(start)
        count = int.from_bytes(file.read(8), "little", signed=True)
        start, length = start + 8, count * storages[key].itemsize
        if not 0 <= length <= end - start:
            raise ConvertError(
                f"it ends before the last of its storage {shown(key)}: it is damaged or not whole."
            )
        places[key] = (start, length)
        start += length
    return places


def _at(file: io.BufferedReader, places: dict[str, tuple[int, int]], storage: Storage) -> bytes:
    if storage.key not in places:
        raise ConvertError(f"it has no storage {shown(storage.key)}: it is damaged or not whole.")
    start, length = places[storage.key]
    file.seek(start)
    return file.read(length)


def arrays(value: Any, read: Bytes, order: str, max_bytes: int) -> dict[str, np.ndarray]:
    """The arrays of the state dict in an unpickled value, read-only; storages are read once, and only those needed.

    Raises ConvertError, also where they would fill more than `max_bytes` when written out: a stride of 0 repeats an
    element as often as a file likes.
    """
    tensors = state_dict(value)
    if len(tensors) > MAX_TENSORS:
        raise ConvertError(f"it has {len(tensors):,} tensors, at most {MAX_TENSORS:,} are read.")
    total, stored, found = 0, {}, {}
    for name, tensor in tensors.items():
        try:
            total += torch_tensor.num_elements(tensor) * tensor.storage.itemsize
            if total > max_bytes:
                raise ConvertError(f"with it they are over the limit of {max_bytes:,} bytes.")
            found[name] = _array(tensor, stored, read, order)
        except ConvertError as error:
            raise ConvertError(f"its tensor {shown(name)}: {error}") from error
    return found


def _array(tensor: Tensor, stored: dict[tuple, np.ndarray], read: Bytes, order: str) -> np.ndarray:
    """A tensor over its storage, which is kept in `stored` once it is read."""
    storage, key = tensor.storage, (tensor.storage.key, tensor.storage.dtype)
    if 0 in tensor.shape:  # there need not be a storage
        return torch_tensor.values(b"", storage.dtype, order).reshape(tensor.shape)
    if key not in stored:
        data = read(storage)
        if len(data) % storage.itemsize:
            raise ConvertError("its storage does not end with an element.")
        stored[key] = torch_tensor.values(data, storage.dtype, order)
    if storage.start + storage.size > len(stored[key]):
        raise ConvertError(
            f"its storage has {len(stored[key]):,} elements of {storage.start + storage.size:,}."
        )
    return torch_tensor.view(tensor, stored[key])


def state_dict(value: Any) -> dict[str, Tensor]:
    """The tensors by name in what a training script saved: its own dict, or the one under a name of WRAPPERS.

    What stands beside it (epoch, optimiser, best accuracy as a tensor) is left. Raises ConvertError.
    """
    if not isinstance(value, dict):
        what = value.name if isinstance(value, Placeholder) else type(value).__name__
        raise ConvertError(
            f"it holds one {shown(what)}, not a dict: save a module's state_dict() in PyTorch."
        )
    found = _unwrapped(value)
    if not found:
        whole = [value[key].name for key in WRAPPERS if isinstance(value.get(key), Placeholder)]
        if whole:
            raise ConvertError(
                f"it holds a whole {shown(whole[0])}: save its state_dict() in PyTorch instead."
            )
        names = ", ".join(shown(name, 24) for name in list(value)[:4]) or "nothing"
        raise ConvertError(
            f"it holds no state dict, at the top or under {', '.join(WRAPPERS)}; it holds {names}."
        )
    for name, item in found.items():
        if isinstance(item, Placeholder) and _is_tensor(item):
            raise ConvertError(
                f"its tensor {shown(name)} is sparse, quantized or of another kind that is not read."
            )
    return {
        name: item
        for name, item in found.items()
        if isinstance(name, str) and isinstance(item, Tensor)
    }


def _unwrapped(value: dict, depth: int = 2) -> dict | None:
    """The innermost dict with tensors under WRAPPERS, else this one, else None; a dict may hold itself."""
    for key in WRAPPERS:
        inner = value.get(key)
        if depth and isinstance(inner, dict) and (found := _unwrapped(inner, depth - 1)):
            return found
    return value if any(isinstance(n, str) and _is_tensor(v) for n, v in value.items()) else None


def _is_tensor(value: Any) -> bool:
    """True for those that are not read, too: they are to be told of, not left out."""
    return isinstance(value, Tensor) or (
        isinstance(value, Placeholder) and "._rebuild" in value.name
    )
