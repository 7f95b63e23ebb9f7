"""Tensors as PyTorch's pickles describe them, and their values from the bytes of their storages.

A description is taken down as it comes. Whether it is one, and lies inside its storage, is checked
when the values are asked for.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidjax.convert.formats.pickle_names import Name, Placeholder
from vidjax.convert.formats.quoting import quoted
from vidjax.core.errors import ConvertError

MAX_DIMENSIONS = 32
MAX_INDEX = 2**48  # of anything, so that no integer of a million digits gets into a product
BFLOAT16 = "bfloat16"

# Kind of storage -> dtype of its elements, without the byte order.
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
STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")
# Dtypes without a kind of storage, which are named at the tensor.
DTYPES = {"torch.uint16": "u2", "torch.uint32": "u4", "torch.uint64": "u8"}

# The arguments of PyTorch's functions that rebuild a tensor, in their order.
VIEW_ARGUMENTS = ("storage", "offset", "shape", "stride", "requires_grad", "hooks")
V2_ARGUMENTS = (*VIEW_ARGUMENTS, "metadata")
V3_ARGUMENTS = (*VIEW_ARGUMENTS, "dtype", "metadata")


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """Where the elements of tensors lie: `size` of them from `start` on, in the bytes of `key`."""

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
    """A view of a storage, in elements; only the storage has been checked."""

    storage: Storage
    offset: Any
    shape: Any
    stride: Any


def storage(reference: Any) -> Storage:
    """The storage of a persistent id: ("storage", kind, key, device, number of elements, view).

    Only old files have the view, of a part of another storage. Raises ConvertError.
    """
    match reference:
        case ("storage", Name(name=name), str(key), _, int(size), *view) if 0 <= size < MAX_INDEX:
            pass
        case ("module", *_):
            raise ConvertError("it holds a whole module: save its state_dict() in PyTorch instead.")
        case _:
            raise ConvertError("its pickle refers to something that is no storage.")
    module, _, kind = name.rpartition(".")
    if kind not in STORAGES or module not in STORAGE_MODULES:
        raise ConvertError(f"it holds numbers of a kind that is not read: {quoted(name)}.")
    match view:
        case [] | [None]:
            return Storage(key, STORAGES[kind], size)
        case [(_, int(start), int(length))] if 0 <= start <= start + length <= size:
            return Storage(key, STORAGES[kind], length, start)
    raise ConvertError("its pickle refers to a part of a storage that does not lie in it.")


# The functions from here to CALLS stand for calls of PyTorch's. A file chooses their arguments, so
# that they only build descriptions. A TypeError or KeyError means that it is damaged.


def _tensor(*arguments: Any) -> Tensor:
    # What follows these four (requires_grad, hooks) is of no interest for weights.
    stored, offset, shape, stride, *_ = arguments
    if not isinstance(stored, Storage):
        raise TypeError
    return Tensor(stored, offset, shape, stride)


def _tensor_v2(*arguments: Any) -> Tensor | Placeholder:
    given = _by_name(V2_ARGUMENTS, arguments)
    # With metadata the tensor is negated or conjugated when it is read.
    if given.get("metadata"):
        return Placeholder("torch._utils._rebuild_tensor_v2")
    return _tensor(given["storage"], given["offset"], given["shape"], given["stride"])


def _tensor_v3(*arguments: Any) -> Tensor | Placeholder:
    """A tensor over bytes without a type, which names its dtype itself."""
    given = _by_name(V3_ARGUMENTS, arguments)
    stored = given["storage"]
    dtype = given["dtype"]
    is_known = isinstance(dtype, Name) and dtype.name in DTYPES and isinstance(stored, Storage)
    if given.get("metadata") or not is_known:
        return Placeholder("torch._utils._rebuild_tensor_v3")
    if stored.dtype != "u1" or stored.start:
        raise TypeError
    code = DTYPES[dtype.name]
    num_elements = stored.size // np.dtype(code).itemsize
    return _tensor(
        Storage(stored.key, code, num_elements), given["offset"], given["shape"], given["stride"]
    )


def _by_name(names: tuple[str, ...], arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Positional arguments by name. Later ones may be missing, as in files of older versions."""
    if len(arguments) > len(names):
        raise TypeError
    return dict(zip(names, arguments, strict=False))


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _subclass(*arguments: Any) -> Any:
    """For a tensor of a subclass, or with attributes: the tensor that it is made from."""
    function, _kind, inner_arguments, _state = arguments
    is_rebuilding = isinstance(function, Name) and function.name in REBUILD
    if is_rebuilding and type(inner_arguments) is tuple:
        return REBUILD[function.name](*inner_arguments)
    return Placeholder("torch._tensor._rebuild_from_type_v2")


def _size(sizes: Any = ()) -> Any:
    return sizes


REBUILD: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
}
# What stands for a call of these names.
CALLS: dict[str, Callable[..., Any]] = {
    **REBUILD,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch.Size": _size,
}


def values(data: bytes, dtype: str, order: str) -> np.ndarray:
    """The elements in a storage's bytes, [numel], in this machine's byte order.

    `order` is "<" or ">". bfloat16 comes as float32, which is exact.
    """
    if dtype == BFLOAT16:
        # A bfloat16 is the upper half of the float32 with the same value.
        upper_half = np.frombuffer(data, f"{order}u2").astype(np.uint32)
        return (upper_half << 16).view(np.float32)
    if dtype == "?":
        return np.frombuffer(data, np.uint8) != 0  # other bytes would be neither True nor False
    elements = np.frombuffer(data, f"{order}{dtype}")
    return elements.astype(elements.dtype.newbyteorder("="), copy=False)


def num_elements(tensor: Tensor) -> int:
    """The number of elements of a tensor when it is written out.

    Raises ConvertError for a description that is no view of its storage.
    """
    shape = tensor.shape
    stride = tensor.stride
    if type(shape) is not tuple or type(stride) is not tuple or len(shape) != len(stride):
        raise ConvertError("its shape and strides are not two tuples of a length.")
    numbers = (tensor.offset, *shape, *stride)
    if len(shape) > MAX_DIMENSIONS or not all(_is_index(number) for number in numbers):
        raise ConvertError("its shape, strides or offset are not what a tensor can have.")
    # NumPy has this limit, and for empty arrays, too.
    if math.prod(size for size in shape if size) >= MAX_INDEX:
        raise ConvertError("its shape is larger than any array.")
    if 0 in shape:
        return 0
    last = tensor.offset
    for size, step in zip(shape, stride, strict=True):
        last += (size - 1) * step
    if last >= tensor.storage.size:
        raise ConvertError(
            f"it reaches to element {last:,} of a storage of {tensor.storage.size:,}."
        )
    return math.prod(shape)


def _is_index(number: Any) -> bool:
    """Whether it is an index, and no bool, which is an int for `isinstance`."""
    return type(number) is int and 0 <= number < MAX_INDEX


def view(tensor: Tensor, elements: np.ndarray) -> np.ndarray:
    """The tensor over its storage's elements, not copied, and read-only.

    `num_elements` must have accepted the tensor: NumPy does not check that a view lies in memory.
    """
    base = elements[tensor.storage.start + tensor.offset :]
    strides = [step * elements.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(base, tensor.shape, strides, writeable=False)
