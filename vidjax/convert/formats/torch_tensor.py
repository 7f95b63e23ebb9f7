"""Tensors as PyTorch's pickles describe them, and their values out of the bytes of their storages.

A description is taken down as it comes; whether it is one, and lies inside its storage, is asked when the values are.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidjax.convert.formats.pickle_names import Name, Placeholder
from vidjax.convert.formats.shown import shown
from vidjax.core.errors import ConvertError

MAX_DIMENSIONS = 32
MAX_INDEX = 2**48  # of anything: no integer of a million digits gets into a product
BFLOAT16 = "bfloat16"

# kind of storage: dtype of its elements, without the byte order
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "UntypedStorage": "u1",
}
# those that have no kind of storage, and are named at the tensor
DTYPES = {"torch.uint16": "u2", "torch.uint32": "u4", "torch.uint64": "u8"}


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """Where the elements of tensors lie: `size` of them from `start` on, in the bytes under `key`."""

    key: str
    dtype: str
    size: int
    start: int = 0

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return 2 if self.dtype == BFLOAT16 else np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """A view of a storage, in elements; nothing about it is checked yet but its storage."""

    storage: Storage
    offset: Any
    shape: Any
    stride: Any


def storage(reference: Any) -> Storage:
    """A storage from a persistent id: ("storage", kind, key, place, number of elements), and a view in old files."""
    match reference:
        case ("storage", Name(name=name), str(key), _, int(size), *view) if 0 <= size < MAX_INDEX:
            pass
        case ("module", *_):
            raise ConvertError("it holds a whole module: save its state_dict() in PyTorch instead.")
        case _:
            raise ConvertError("its pickle refers to something that is no storage.")
    module, _, kind = name.rpartition(".")
    if kind not in STORAGES or module not in ("torch", "torch.cuda", "torch.storage"):
        raise ConvertError(f"it holds numbers of a kind that is not read: {shown(name)}.")
    match view:
        case [] | [None]:
            return Storage(key, STORAGES[kind], size)
        case [(_, int(start), int(length))] if 0 <= start <= start + length <= size:
            return Storage(key, STORAGES[kind], length, start)
    raise ConvertError("its pickle refers to a part of a storage that does not lie in it.")


def _tensor(stored: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Tensor:
    if not isinstance(stored, Storage):
        raise TypeError
    return Tensor(stored, offset, shape, stride)


def _tensor_v2(
    stored, offset, shape, stride, grad, hooks=None, metadata=None
) -> Tensor | Placeholder:
    if metadata:  # negated or conjugated when read
        return Placeholder("torch._utils._rebuild_tensor_v2")
    return _tensor(stored, offset, shape, stride)


def _tensor_v3(
    stored, offset, shape, stride, grad, hooks, dtype, metadata=None
) -> Tensor | Placeholder:
    """A tensor over untyped bytes, which names its dtype itself."""
    if (
        metadata
        or not isinstance(dtype, Name)
        or dtype.name not in DTYPES
        or not isinstance(stored, Storage)
    ):
        return Placeholder("torch._utils._rebuild_tensor_v3")
    if stored.dtype != "u1" or stored.start:
        raise TypeError
    code = DTYPES[dtype.name]
    return Tensor(
        Storage(stored.key, code, stored.size // np.dtype(code).itemsize), offset, shape, stride
    )


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _subclass(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor of a class of its own, or with attributes: the tensor that it is made from."""
    if isinstance(function, Name) and function.name in PLAIN and type(arguments) is tuple:
        return PLAIN[function.name](*arguments)
    return Placeholder("torch._tensor._rebuild_from_type_v2")


def _size(sizes: Any = ()) -> Any:
    return sizes


PLAIN: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
}
# what stands for a call of these names; each only builds a description
CALLS: dict[str, Callable[..., Any]] = {
    **PLAIN,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch.Size": _size,
}


def values(data: bytes, dtype: str, order: str) -> np.ndarray:
    """The elements in a storage's bytes, [numel] in this machine's byte order; bfloat16 as float32, which is exact.

    `order` is "<" or ">".
    """
    if dtype == BFLOAT16:
        return (np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "?":
        return np.frombuffer(data, np.uint8) != 0  # any other byte would be neither True nor False
    raw = np.frombuffer(data, f"{order}{dtype}")
    return raw.astype(raw.dtype.newbyteorder("="), copy=False)


def num_elements(tensor: Tensor) -> int:
    """How many elements it has when it is written out. Raises ConvertError for what is no view of its storage."""
    shape, stride = tensor.shape, tensor.stride
    if type(shape) is not tuple or type(stride) is not tuple or len(shape) != len(stride):
        raise ConvertError("its shape and strides are not two tuples of a length.")
    numbers = (tensor.offset, *shape, *stride)
    if len(shape) > MAX_DIMENSIONS or not all(
        type(n) is int and 0 <= n < MAX_INDEX for n in numbers
    ):
        raise ConvertError("its shape, strides or offset are not what a tensor can have.")
    if (
        math.prod(n for n in shape if n) >= MAX_INDEX
    ):  # NumPy's limit, which an empty array has, too
        raise ConvertError("its shape is larger than any array.")
    if 0 in shape:
        return 0
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if last >= tensor.storage.size:
        raise ConvertError(
            f"it reaches to element {last:,} of a storage of {tensor.storage.size:,}."
        )
    return math.prod(shape)


def view(tensor: Tensor, elements: np.ndarray) -> np.ndarray:
    """The tensor over its storage's elements, not copied and not to be written to. `num_elements` has passed it."""
    base = elements[tensor.storage.start + tensor.offset :]
    strides = [step * elements.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(base, tensor.shape, strides, writeable=False)
