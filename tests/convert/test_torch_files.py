"""Files of torch.save through `formats.read`.

Those that PyTorch wrote, and what they leave out by our own writer.
"""

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vidjax.convert import formats
from vidjax.core.errors import ConvertError

HERE = Path(__file__).parent


def load_writer():
    spec = importlib.util.spec_from_file_location("torch_writer", HERE / "torch_writer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


writer = load_writer()
Call, Global, Raw, Storage, tensor = (
    writer.Call,
    writer.Global,
    writer.Raw,
    writer.Storage,
    writer.tensor,
)

FLOATS = np.arange(6, dtype="<f4")


def read(tmp_path, data, **options):
    (tmp_path / "weights").write_bytes(data)
    return formats.read(tmp_path / "weights", **options)


def simple(order="<"):
    """A state dict of one tensor [2, 3], and its storage."""
    return {"w": tensor(Storage("0", "FloatStorage", 6), (2, 3))}, {
        "0": FLOATS.astype(f"{order}f4").tobytes()
    }


def count(n, *shape, dtype=np.float32):
    return (np.arange(n) * 0.5 - 3).astype(dtype).reshape(shape)


EXPECTED = {
    "conv.weight": count(24, 2, 3, 4),
    "view": count(24, 4, 6).T,
    "slice": count(24, 4, 6)[1:3, 2:5],
    "expanded": np.float32([[1.5] * 3, [2.5] * 3]),
    "shared_a": count(12, 12)[:6].reshape(2, 3),
    "shared_b": count(12, 12),
    "half": count(6, 2, 3, dtype=np.float16),
    "brain": count(6, 6),  # bfloat16, which has these exactly
    "num_batches_tracked": np.array(7),
    "int32": np.arange(3, dtype=np.int32),
    "byte": np.array([1, 255], np.uint8),
    "flag": np.array([True, False, True]),
    "empty": np.zeros((0, 3), np.float32),
    "double": np.array(0.1),
    "parameter": count(4, 4),
}


@pytest.mark.parametrize("name", ["zip.pt", "legacy.pt", "plain.pt"])
def test_what_pytorch_wrote_is_read(name):
    found = formats.read(HERE / "files" / name)
    assert list(found) == list(EXPECTED)
    for entry, expected in EXPECTED.items():
        assert (found[entry].dtype, found[entry].shape) == (expected.dtype, expected.shape), entry
        np.testing.assert_array_equal(found[entry], expected)
    assert np.shares_memory(found["shared_a"], found["shared_b"])


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_the_suffix_and_the_protocol_do_not_matter(tmp_path, protocol):
    state, storages = simple()
    data = writer.legacy_file(state, {"0": (6, storages["0"])}, protocol=protocol)
    np.testing.assert_array_equal(read(tmp_path, data)["w"], FLOATS.reshape(2, 3))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("byteorder", [b"little", b"big", None])
def test_byte_order_and_compression(tmp_path, byteorder, compression):
    state, storages = simple(">" if byteorder == b"big" else "<")
    data = writer.zip_file(state, storages, byteorder=byteorder, compression=compression)
    found = read(tmp_path, data)["w"]
    assert found.dtype == np.float32 and found.dtype.isnative
    np.testing.assert_array_equal(found, FLOATS.reshape(2, 3))


def test_big_endian_bfloat16_and_bool(tmp_path):
    state = {
        "b": tensor(Storage("0", "BFloat16Storage", 2), (2,)),
        "f": tensor(Storage("1", "BoolStorage", 3), (3,)),
    }
    data = writer.zip_file(state, {"0": b"\x3f\xc0\xc0\x00", "1": b"\0\1\7"}, byteorder=b"big")
    found = read(tmp_path, data)
    assert list(found["b"]) == [1.5, -2.0] and list(found["f"]) == [False, True, True]
    assert found["f"].tobytes() == b"\0\1\1"


def test_a_view_of_a_storage_in_an_old_file(tmp_path):
    state = {"w": tensor(Storage("5", "FloatStorage", 6, view=(("6", 2, 3),)), (3,))}
    np.testing.assert_array_equal(
        read(tmp_path, writer.legacy_file(state, {"5": (6, FLOATS.tobytes())}))["w"], [2, 3, 4]
    )


def test_python_2_wrote_ordered_dicts_as_pairs_and_sizes_as_calls(tmp_path):
    size = Call(Global("torch", "Size"), ((2, 3),))
    old = Call(
        Global("torch._utils", "_rebuild_tensor"),
        (Storage("0", "FloatStorage", 6), 0, size, (3, 1)),
    )
    key = Raw(b"U\x01w")  # a string of bytes
    value = Call(Global("collections", "OrderedDict"), ([[key, old]],))
    np.testing.assert_array_equal(
        read(tmp_path, writer.zip_file(value, simple()[1]))["w"], FLOATS.reshape(2, 3)
    )


@pytest.mark.parametrize(
    "wrapper", ["state_dict", "model_state", "model", "model_state_dict", "net"]
)
def test_what_scripts_wrap_around_is_taken_off(tmp_path, wrapper):
    state, storages = simple()
    best = tensor(Storage("1", "FloatStorage", 1), ())
    other = {
        "state": {0: {"exp_avg": tensor(Storage("not in the file", "FloatStorage", 99), (99,))}}
    }
    value = {
        "epoch": 3,
        "model": "r3d",
        "best": best,
        wrapper: {"state_dict": state},
        "optimizer": other,
    }
    assert list(read(tmp_path, writer.zip_file(value, storages | {"1": b"1234"}))) == ["w"]


def test_module_goes_where_all_names_have_it(tmp_path):
    (array,), storages = simple()[0].values(), simple()[1]
    assert list(
        read(tmp_path, writer.zip_file({"module.a": array, "module.b": array}, storages))
    ) == ["a", "b"]
    assert list(read(tmp_path, writer.zip_file({"module.a": array, "b": array}, storages))) == [
        "module.a",
        "b",
    ]


STRANGE = {
    "a class of a script": Raw(b"cscript\nMeter\n)\x81}(U\x03avgK\x01ub"),
    "a class of settings": Raw(b"cyacs.config\nCfgNode\n)R(U\x02lrK\x01u}U\x01aK\x01sb"),
    "a function of another library": Call(
        Global("numpy.testing._private.utils", "runstring"), ("boom", {})
    ),
    "a function inside a known module": Call(Global("torch.serialization", "os.system"), ("boom",)),
    "a state for an OrderedDict": Raw(
        writer.code(writer.ordered({})) + writer.code({"__class__": 1}) + b"b"
    ),
    "sets": Raw(b"\x8f(K\x01K\x02\x90"),
    "nested tuples as a key": {Raw(b")" + b"q\x00h\x00\x86" * 200): 1},
    "bytes as Python 2 has them": Call(Global("_codecs", "encode"), ("ab", "latin1")),
    "a NumPy array": Call(
        Global("numpy.core.multiarray", "_reconstruct"), (Global("numpy", "ndarray"), (0,), "b")
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_not_known_is_left_as_a_name(tmp_path, name):
    state, storages = simple()
    data = writer.zip_file({"state_dict": state, "beside": STRANGE[name]}, storages, protocol=4)
    assert list(read(tmp_path, data)) == ["w"]
    data = writer.zip_file({**state, "among": STRANGE[name]}, storages, protocol=4)
    assert list(read(tmp_path, data)) == ["w"]


REFUSED = (
    (tensor(Storage("0", "FloatStorage", 6), (2, 3)), "holds one 'Tensor', not a dict"),
    ([1, 2], "holds one 'list'"),
    ({}, "it holds nothing"),
    ({"epoch": 3, "weights": "x"}, "no state dict.* it holds 'epoch', 'weights'"),
    ({"model": Raw(b"cnets\nC3D\n)\x81}b")}, "a whole 'nets.C3D': save its state_dict"),
    (Raw(b"cnets\nC3D\n)\x81}b"), "one 'nets.C3D'"),
    (
        {"w": Call(Global("torch._utils", "_rebuild_sparse_tensor"), (1,))},
        "tensor 'w' is sparse, quantized",
    ),
    (
        {"w": tensor(Storage("0", "ComplexFloatStorage", 3), (3,))},
        "of a kind .* 'torch.ComplexFloatStorage'",
    ),
)


@pytest.mark.parametrize("value, message", REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_no_state_dict_is_refused(tmp_path, value, message):
    with pytest.raises(ConvertError, match=message):
        read(tmp_path, writer.zip_file(value, simple()[1]))


def test_a_torchscript_program_is_refused(tmp_path):
    data = writer.zip_file(*simple(), more=[("archive/constants.pkl", b"")])
    with pytest.raises(ConvertError, match="TorchScript"):
        read(tmp_path, data)


def test_arrays_are_not_to_be_written_to(tmp_path):
    found = read(tmp_path, writer.zip_file(*simple()))["w"]
    with pytest.raises(ValueError):
        found[0] = 1
