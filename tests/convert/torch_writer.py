"""Files as torch.save lays them out, written without torch.

Names are written as they are given, right or wrong.

`Global`, `Call` and `Storage` stand for what a pickle has of PyTorch; `Raw` is operations as they
are.
"""

import io
import math
import pickle
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


@dataclass(frozen=True)  # a key of a dict may be one
class Raw:
    code: bytes


@dataclass
class Global:
    module: str
    name: str


@dataclass
class Call:
    function: Any
    arguments: tuple
    operation: bytes = b"R"


@dataclass
class Storage:
    key: Any
    kind: str
    size: Any
    view: tuple = ()
    module: str = "torch"


def code(value) -> bytes:
    """The operations of protocol 2 that leave `value` on the stack."""
    match value:
        case Raw():
            return value.code
        case Global():
            return f"c{value.module}\n{value.name}\n".encode()
        case Call():
            return code(value.function) + code(value.arguments) + value.operation
        case Storage():
            kind = Global(value.module, value.kind)
            return code(("storage", kind, value.key, "cpu", value.size, *value.view)) + b"Q"
        case tuple():
            return b"(" + b"".join(map(code, value)) + b"t"
        case list():
            return b"](" + b"".join(map(code, value)) + b"e"
        case dict():
            return b"}(" + b"".join(code(k) + code(v) for k, v in value.items()) + b"u"
        case _:  # numbers, strings, None
            return pickle.dumps(value, 2)[2:-1]


def pickled(value, protocol=2) -> bytes:
    return bytes([0x80, protocol]) + code(value) + b"."


def tensor(storage, shape, stride=None, offset=0) -> Call:
    """A tensor over a storage, contiguous unless strides are given."""
    if stride is None:
        stride = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    arguments = (
        storage,
        offset,
        tuple(shape),
        tuple(stride),
        False,
        Call(Global("collections", "OrderedDict"), ()),
    )
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def ordered(items: dict) -> Raw:
    """An OrderedDict as Python 3 writes it: made empty, then filled."""
    made = code(Call(Global("collections", "OrderedDict"), ()))
    return Raw(made + b"(" + b"".join(code(k) + code(v) for k, v in items.items()) + b"u")


def zip_file(
    value, storages, *, byteorder=b"little", compression=zipfile.ZIP_STORED, more=(), protocol=2
) -> bytes:
    """`storages`: key -> bytes. `value` may be a pickle's bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr(
            "archive/data.pkl", value if isinstance(value, bytes) else pickled(value, protocol)
        )
        if byteorder:
            file.writestr("archive/byteorder", byteorder)
        for key, data in storages.items():
            file.writestr(f"archive/data/{key}", data)
        for name, data in more:
            file.writestr(name, data)
    return out.getvalue()


def legacy_file(value, storages, *, keys=None, magic=MAGIC, version=VERSION, protocol=2) -> bytes:
    """`storages`: key -> (number of elements, bytes)."""
    about = {
        "protocol_version": VERSION,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    parts = [pickle.dumps(part, protocol) for part in (magic, version, about)]
    parts += [value if isinstance(value, bytes) else pickled(value)]
    parts += [pickle.dumps(list(storages) if keys is None else keys, protocol)]
    return b"".join(parts) + b"".join(
        struct.pack("<q", count) + data for count, data in storages.values()
    )
