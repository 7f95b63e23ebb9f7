"""Weight files made to do harm.

Payloads that would write a file, damage, tensors out of bounds, zips that lie.
"""

import importlib.util
import io
import pickle
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np


def load(name):
    """A Python file beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


writer = load("torch_writer")
Call, Global, Raw, Storage, code, tensor = (
    getattr(writer, n) for n in "Call Global Raw Storage code tensor".split()
)

FLOATS = np.arange(6, dtype="<f4").tobytes()
STATE, STORAGES = {"w": tensor(Storage("0", "FloatStorage", 6), (2, 3))}, {"0": FLOATS}
COMMAND = "touch ran"  # in the folder of the test
PYTHON = "open('ran', 'w')"


def with_state(value, protocol=2):
    """A good checkpoint with something beside its state dict."""
    return writer.zip_file({"args": value, "state_dict": STATE}, STORAGES, protocol=protocol)


def with_tensor(storage=None, shape=(2, 3), stride=(3, 1), offset=0):
    return writer.zip_file(
        {"w": tensor(storage or Storage("0", "FloatStorage", 6), shape, stride, offset)}, STORAGES
    )


PLAIN = writer.pickled(Call(Global("os", "system"), (COMMAND,)))
RUNNING = {
    "REDUCE os.system": with_state(Call(Global("os", "system"), (COMMAND,))),
    "REDUCE posix.system": with_state(Call(Global("posix", "system"), (COMMAND,))),
    "REDUCE eval": with_state(Call(Global("builtins", "eval"), (PYTHON,))),
    "REDUCE exec of Python 2": with_state(Call(Global("__builtin__", "exec"), (PYTHON,))),
    "REDUCE a method by getattr": with_state(
        Call(Call(Global("builtins", "getattr"), (Global("os", "path"), "x")), (COMMAND,))
    ),
    "REDUCE runpy": with_state(Call(Global("runpy", "_run_code"), (PYTHON, {}))),
    "REDUCE import": with_state(Call(Global("importlib", "import_module"), ("antigravity",))),
    "REDUCE pickle in pickle": with_state(
        Call(Global("pickle", "loads"), (b"cos\nsystem\n(S'touch ran'\ntR.",))
    ),
    "STACK_GLOBAL": with_state(
        Raw(code("os") + code("system") + b"\x93" + code((COMMAND,)) + b"R"), protocol=4
    ),
    "STACK_GLOBAL with a dotted name": with_state(
        Raw(code("os") + code("path.os.system") + b"\x93"), protocol=4
    ),
    "INST": with_state(Raw(b"(S'touch ran'\nios\nsystem\n")),
    "OBJ": with_state(Raw(b"(cos\nsystem\n" + code(COMMAND) + b"o")),
    "NEWOBJ": with_state(Call(Global("subprocess", "Popen"), (COMMAND,), b"\x81")),
    "NEWOBJ_EX": with_state(
        Raw(
            code(Global("subprocess", "Popen")) + code((COMMAND,)) + code({"shell": True}) + b"\x92"
        ),
        protocol=4,
    ),
    "BUILD with __setstate__": with_state(
        Raw(
            code(Call(Global("argparse", "Namespace"), ()))
            + code({"__setstate__": Global("os", "system")})
            + b"b"
        )
    ),
    "EXT1": with_state(Raw(b"\x82\x01")),
    "a state dict of os.system": writer.zip_file(Call(Global("os", "system"), (COMMAND,)), {}),
    "a function of another library": writer.zip_file(
        {"state_dict": Call(Global("numpy.testing._private.utils", "runstring"), (PYTHON, {}))}, {}
    ),
    "a function behind a module of PyTorch": writer.zip_file(
        {"state_dict": Call(Global("torch.serialization", "os.system"), (COMMAND,))}, {}
    ),
    "a function as storage": writer.zip_file(
        {"w": tensor(Call(Global("torch", "os.system"), (COMMAND,)), (2, 3))}, STORAGES
    ),
    "a function through a subclass": writer.zip_file(
        {
            "w": Call(
                Global("torch._tensor", "_rebuild_from_type_v2"),
                (Global("posix", "system"), 1, (COMMAND,), {}),
            )
        },
        {},
    ),
    "legacy REDUCE": writer.legacy_file(
        {"args": Call(Global("os", "system"), (COMMAND,)), "w": STATE["w"]}, {}
    ),
    "legacy module with source": writer.legacy_file(
        Raw(code(("module", Global("m", "M"), "ran", PYTHON)) + b"Q"), {}
    ),
    "legacy magic before os.system": pickle.dumps(writer.MAGIC, 2)
    + b"cos\nsystem\n(S'touch ran'\ntR.",
    "a bare pickle": b"\x80\x02cos\nsystem\n(S'touch ran'\ntR.",
    "a bare pickle of protocol 0": b"cos\nsystem\n(S'touch ran'\ntR.",
}

NESTED = (
    b")" + b"q\x00h\x00\x86" * 400
)  # a tuple of twice the tuple before, 400 times: 2**400 in all
DAMAGED = {
    "a truncated pickle": writer.zip_file(writer.pickled(STATE)[:-20], STORAGES),
    "an empty pickle": writer.zip_file(b"", STORAGES),
    "no value": writer.zip_file(b"\x80\x02.", STORAGES),
    "two values": writer.zip_file(b"\x80\x02NN.", STORAGES),
    "an open mark": writer.zip_file(b"\x80\x02(N.", STORAGES),
    "a mark that is not there": writer.zip_file(b"\x80\x02Nt.", STORAGES),
    "protocol 9": writer.zip_file(writer.pickled(STATE, 9), STORAGES),
    "a memo that is empty": with_state(Raw(b"h\x07")),
    "buffers out of band": with_state(Raw(b"\x97"), 5),
    "an unknown operation": with_state(Raw(b"\xff")),
    "a string of 2 GB": with_state(Raw(b"X\xff\xff\xff\x7fab")),
    "a string of 2**60": with_state(Raw(b"\x8d" + struct.pack("<Q", 2**60) + b"ab"), 4),
    "bytes of 2**63": with_state(Raw(b"\x8e" + struct.pack("<Q", 2**63) + b"ab"), 4),
    "a frame of 2**63": writer.zip_file(
        b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.", STORAGES
    ),
    "an integer of negative length": with_state(Raw(b"\x8b\xff\xff\xff\xff")),
    "an integer of a million digits": with_state(Raw(b"I" + b"9" * 10**6 + b"\n")),
    "a string that is no string": with_state(Raw(b"X\x02\0\0\0\xff\xff")),
    "a key without a value": with_state(Raw(b"}(K\x01u")),
    "items for a number": with_state(Raw(b"K\x01(K\x01K\x02u")),
    "a call of a string": with_state(Raw(code("os.system") + code((COMMAND,)) + b"R")),
    "a call with no tuple": with_state(Raw(code(Global("torch", "Size")) + b"K\x01R")),
    "an OrderedDict of no pairs": with_state(Call(Global("collections", "OrderedDict"), ([1, 2],))),
    "nested tuples at the top": writer.zip_file(b"\x80\x02" + NESTED + b".", {}),
    "nested tuples as shape": writer.zip_file(
        {"w": Call(
            Global("torch._utils", "_rebuild_tensor"),
            (Storage("0", "FloatStorage", 6), 0, Raw(NESTED), (1,)),
        )},
        STORAGES,
    ),
    "nested tuples as the key of a storage": writer.zip_file(
        {"w": tensor(Storage(Raw(NESTED), "FloatStorage", 6), (2, 3))}, STORAGES
    ),
    "integers of one hash as keys": with_state(
        Raw(
            b"}(" + b"".join(code(n * (2**61 - 1)) + b"N" for n in range(1, 50_000)) + b"u\xff"
        )
    ),
    "a dict that holds itself": writer.zip_file(b"\x80\x02}q\x00" + b"".join(
        code(key) + b"h\x00s"
        for key in ("state_dict", "model", "net", "model_state", "model_state_dict")
    ) + b".", {}),
    "a name of 100,000 letters in four lines": with_state(Global("os", "x\r" * 50_000)),
}  # fmt: skip

BOUNDS = {
    "an offset beyond": with_tensor(offset=1),
    "a negative offset": with_tensor(offset=-1),
    "a stride beyond": with_tensor(stride=(4, 1)),
    "a negative stride": with_tensor(stride=(3, -1)),
    "a negative size": with_tensor(shape=(-2, -3)),
    "another number of strides": with_tensor(stride=(1,)),
    "sizes that are no integers": with_tensor(shape=(2.0, 3)),
    "sizes that are True": with_tensor(shape=(True, 3)),
    "sizes as a string": with_tensor(Storage("0", "FloatStorage", 6), "ab", "cd"),
    "an offset that is None": with_tensor(offset=None),
    "sizes that overflow": with_tensor(shape=(2**62, 2**62), stride=(0, 0)),
    "integers of a million bits": with_tensor(shape=(1 << 10**6, 3), stride=(1 << 10**6, 1)),
    "a terabyte by a stride of 0": with_tensor(shape=(2**38,), stride=(0,)),
    "a terabyte in a thousand tensors": writer.zip_file(
        {f"w{i}": tensor(Storage("0", "FloatStorage", 6), (2**28,), (0,)) for i in range(1000)},
        STORAGES,
    ),
    "nothing, but large": with_tensor(shape=(0, 2**40, 2**40), stride=(1, 1, 1)),
    "forty dimensions": with_tensor(shape=(1,) * 40, stride=(1,) * 40),
    "10,001 tensors": writer.zip_file({str(i): STATE["w"] for i in range(10_001)}, STORAGES),
    "a storage longer than its bytes": with_tensor(Storage("0", "FloatStorage", 7), (7,), (1,)),
    "a storage of another kind": with_tensor(Storage("0", "DoubleStorage", 6), (6,), (1,)),
    "a storage that ends within an element": writer.zip_file(STATE, {"0": FLOATS + b"x"}),
    "a storage of negative size": with_tensor(Storage("0", "FloatStorage", -6)),
    "a storage that is not there": with_tensor(Storage("1", "FloatStorage", 6)),
    "a storage outside": with_tensor(Storage("../../../../etc/passwd", "FloatStorage", 6)),
    "a storage with a number for a key": with_tensor(Storage(0, "FloatStorage", 6)),
    "a storage of an unknown module": with_tensor(Storage("0", "FloatStorage", 6, module="mine")),
    "a view outside its storage": with_tensor(
        Storage("0", "FloatStorage", 6, view=(("1", 4, 3),)), (3,), (1,)
    ),
    "a reference as text": with_state(Raw(b"Pstorage\n")),
    "a byte order of another kind": writer.zip_file(STATE, STORAGES, byteorder=b"middle"),
    "legacy: a storage with two kinds": writer.legacy_file(
        {"a": STATE["w"], "b": tensor(Storage("0", "LongStorage", 6), (1,))}, {"0": (6, FLOATS)}
    ),
    "legacy: fewer bytes than elements": writer.legacy_file(STATE, {"0": (7, FLOATS)}),
    "legacy: negative elements": writer.legacy_file(STATE, {"0": (-6, FLOATS)}),
    "legacy: 2**62 elements": writer.legacy_file(STATE, {"0": (2**62, FLOATS)}),
    "legacy: fewer elements than said": writer.legacy_file(STATE, {"0": (5, FLOATS)}),
    "legacy: no storages": writer.legacy_file(STATE, {}),
    "legacy: other storages": writer.legacy_file(STATE, {"1": (6, FLOATS)}),
    "legacy: a storage twice": writer.legacy_file(STATE, {"0": (6, FLOATS)}, keys=["0", "0"]),
    "legacy: keys that are a number": writer.legacy_file(STATE, {"0": (6, FLOATS)}, keys=7),
    "legacy: another version": writer.legacy_file(STATE, {"0": (6, FLOATS)}, version=7),
}  # fmt: skip


def patched(data, signature, place, form, value, which=0):
    """Zip bytes with another value in a field of a header.

    The header is number `which` of those that begin with `signature`.
    """
    at = -1
    for _ in range(which + 1):
        at = data.index(signature, at + 1)
    changed = bytearray(data)
    struct.pack_into(form, changed, at + place, value)
    return bytes(changed)


def zip_bomb(claim=None):
    """A storage of 100 MB of zeros in 100 KB, which may claim another size in the directory."""
    state = {"w": tensor(Storage("0", "FloatStorage", 6), (2, 3))}
    data = writer.zip_file(state, {"0": bytes(10**8)}, compression=zipfile.ZIP_DEFLATED)
    return data if claim is None else patched(data, b"PK\1\2", 24, "<I", claim, which=2)


def twice():
    """A zip with one name twice."""
    out = io.BytesIO(writer.zip_file(STATE, STORAGES))
    with zipfile.ZipFile(out, "a") as file, warnings.catch_warnings(action="ignore"):
        file.writestr("archive/data/0", FLOATS)
    return out.getvalue()


GOOD = writer.zip_file(STATE, STORAGES)
DIRECTORY, END = b"PK\1\2", b"PK\5\6"
ZIPS = {
    "a bomb": zip_bomb,
    "a bomb that claims 24 bytes": lambda: zip_bomb(24),
    "a claim of 4 GB": lambda: patched(GOOD, DIRECTORY, 24, "<I", 2**32 - 2, which=2),
    "a claim of 25 bytes": lambda: patched(GOOD, DIRECTORY, 24, "<I", 25, which=2),
    "a wrong checksum": lambda: patched(GOOD, DIRECTORY, 16, "<I", 1, which=2),
    "encryption": lambda: patched(GOOD, DIRECTORY, 8, "<H", 1, which=2),
    "LZMA": lambda: writer.zip_file(STATE, STORAGES, compression=zipfile.ZIP_LZMA),
    "an unknown method": lambda: patched(GOOD, DIRECTORY, 10, "<H", 77, which=2),
    "an entry outside the file": lambda: patched(GOOD, DIRECTORY, 42, "<I", 2**31, which=2),
    "a directory of 9 MB": lambda: patched(
        b"PK\3\4" + bytes(9 * 2**20) + GOOD[-22:], END, 12, "<I", 9 * 2**20
    ),
    "a directory before the file": lambda: patched(GOOD, END, 16, "<I", 2**31),
    "a cut": lambda: GOOD[:-30],
    "one name twice": twice,
    "a pickle of 65 MB": lambda: writer.zip_file(
        bytes(65 * 2**20), {}, compression=zipfile.ZIP_DEFLATED
    ),
    "a bomb in an export": lambda: export_bomb(),
}


def export_bomb():
    """A model.json of 17 MB in a few KB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model.json", b" " * (17 * 2**20))
    return out.getvalue()


# Those that would fill memory or take long. With some of the above they are read by a process that
# has little memory.
GREEDY = {
    "a tuple 450,000 deep": writer.zip_file(b"\x80\x02)" + b"\x85" * 450_000 + b".", {}),
    "a million lists": writer.zip_file(b"\x80\x02" + b"]" * 1_000_000 + b".", {}),
    "a million marks": writer.zip_file(b"\x80\x02" + b"(" * 1_000_000 + b".", {}),
    "a list of pairs used again and again": writer.zip_file(
        b"\x80\x02](" + b"K\x01K\x02\x86q\x01" + b"h\x01" * 20_000 + b"eq\x00"
        + code(Global("collections", "OrderedDict"))
        + b"q\x02" + b"h\x02h\x00\x85R" * 20_000 + b".",
        {},
    ),
    "a terabyte in a thousand tensors": BOUNDS["a terabyte in a thousand tensors"],
    "a terabyte by a stride of 0": BOUNDS["a terabyte by a stride of 0"],
    "legacy: 2**62 elements": BOUNDS["legacy: 2**62 elements"],
    "a string of 2 GB": DAMAGED["a string of 2 GB"],
    "bytes of 2**63": DAMAGED["bytes of 2**63"],
    "a claim of 4 GB": ZIPS["a claim of 4 GB"](),
    "a bomb that claims 24 bytes": ZIPS["a bomb that claims 24 bytes"](),
}  # fmt: skip
