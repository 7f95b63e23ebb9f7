"""`formats.read` tells forms from content, here safetensors and TensorFlow.js.

`safetensors_file.write` is whole or not at all.
"""

import io
import json
import os
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from vidjax.convert import formats
from vidjax.convert.formats import safetensors_file
from vidjax.core.errors import ConvertError, StorageError

MOBILENET = (
    Path(__file__).parents[3]
    / "shared"
    / "data"
    / "weights"
    / "mobilenetv2_035"
    / "image-model.zip"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.bin"


def refused(path, match):
    with pytest.raises(ConvertError, match=match) as caught:
        formats.read(path)
    assert str(caught.value).startswith(str(path)) and len(str(caught.value).splitlines()) <= 5


ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "t": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "scalar": np.array(3, np.int64),
    "half": np.ones((1, 0, 2), np.float16),
    "big": np.arange(3, dtype=">i4"),
    "flag": np.array([True, False]),
}


def test_written_arrays_are_read(path):
    safetensors_file.write(path, ARRAYS, {"who": "me"})
    found = formats.read(path)
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert (
            found[name].dtype == array.dtype.newbyteorder("=") and found[name].shape == array.shape
        )
        np.testing.assert_array_equal(found[name], array)
    with safetensors.safe_open(str(path), "numpy") as file:
        assert file.metadata() == {"who": "me"}
    assert os.listdir(path.parent) == [path.name]


def test_bfloat16_is_read_as_float32(path):
    safetensors_file.write(path, {"module.x": np.array([1.5, -2, 3e38], ml_dtypes.bfloat16)})
    found = formats.read(path)["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        found, np.array([1.5, -2, 3e38], ml_dtypes.bfloat16).astype(np.float32)
    )


def test_a_write_that_fails_leaves_what_was_there(path, monkeypatch):
    safetensors_file.write(path, ARRAYS)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        safetensors_file.write(path, {"a": np.zeros(1)})
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


BAD_HEADERS = {
    "a header of 4 EiB": (2**62, {}),
    "a header of 50 MB": (5 * 10**7, {}),
    "a header beyond the file": (10**6, {}),
    "offsets outside": (None, {"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}),
    "offsets that overlap": (
        None,
        {n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "ab"},
    ),
    "a shape of another size": (
        None,
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
    ),
    "a shape that overflows": (
        None,
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
    ),
    "negative": (None, {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}),
    "an unknown dtype": (None, {"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}),
    "no arrays": (None, []),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_bad_safetensors_are_refused(path, name):
    length, header = BAD_HEADERS[name]
    text = json.dumps(header).encode().ljust(8) if header else b"{}"
    path.write_bytes((length or len(text)).to_bytes(8, "little") + text + bytes(8))
    refused(path, "header|safetensors|of a kind|no known form")


@pytest.mark.parametrize(
    "data, match",
    [
        (b"", "no known form.\nKnown are files of torch.save"),
        (b"GIF89a" * 9, "no known form"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"\x80\x04}.", "a pickle that PyTorch did not write"),
        (b"\0" * 257 + b"ustar\0", "before 2017"),
        (b"PK\x03\x04" + b"x" * 99, "damaged zip"),
    ],
)
def test_what_is_no_weight_file_is_refused(path, data, match):
    path.write_bytes(data)
    refused(path, match)


def test_a_file_that_is_none_or_too_large_is_refused(path):
    refused(path, "no such file")
    refused(path.parent, "'model.json'")
    refused("/dev/null", "is no file")
    safetensors_file.write(path, ARRAYS)
    with pytest.raises(ConvertError, match="more than the limit of 99"):
        formats.read(path, max_bytes=99)


def test_a_zip_of_something_else_is_refused(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "x")
    refused(path, "without data.pkl or model.json; it has 'a.txt'")


@pytest.mark.parametrize("given", ["model.ckpt", "model.ckpt.index"])
def test_the_prefix_of_a_checkpoint_of_tensorflow(tmp_path, monkeypatch, given):
    from vidjax.convert.formats import tensorflow_checkpoint

    monkeypatch.setattr(tensorflow_checkpoint, "read", lambda prefix: {"prefix": str(prefix)})
    (tmp_path / "model.ckpt.index").touch()
    assert formats.read(tmp_path / given) == {"prefix": str(tmp_path / "model.ckpt")}


def weight(name="w", shape=(2, 2), dtype="float32", **more):
    return {"name": name, "shape": list(shape), "dtype": dtype, **more}


def model(*weights, paths=("a.bin",)):
    return {
        "modelTopology": {},
        "weightsManifest": [{"paths": list(paths), "weights": list(weights)}],
    }


FOUR = np.arange(4, dtype="<f4")
GOOD = model(weight(), weight("module.n", (), "int32"), paths=("a.bin", "b.bin"))
SHARDS = {"a.bin": FOUR.tobytes()[:5], "b.bin": FOUR.tobytes()[5:] + b"\7\0\0\0"}


def zipped(table, under=""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in table.items():
            file.writestr(under + name, data)
    return out.getvalue()


@pytest.mark.parametrize("form", ["folder", "its json", "zip", "zip of a folder"])
def test_tensorflow_js(tmp_path, form):
    table = {"model.json": json.dumps(GOOD).encode(), **SHARDS}
    if form.startswith("zip"):
        (tmp_path / "x").write_bytes(zipped(table, "web/" if "folder" in form else ""))
        found = formats.read(tmp_path / "x")
    else:
        for name, data in table.items():
            (tmp_path / name).write_bytes(data)
        found = formats.read(tmp_path if form == "folder" else tmp_path / "model.json")
    assert (
        list(found) == ["w", "module.n"] and found["module.n"] == 7
    )  # names as the manifest has them
    np.testing.assert_array_equal(found["w"], FOUR.reshape(2, 2))


@pytest.mark.parametrize(
    "dtype, stored",
    [
        ("uint8", np.uint8([0, 255])),
        ("uint16", np.uint16([0, 65535])),
        ("float16", np.float16([1, 2])),
    ],
)
def test_quantized_tensorflow_js(path, dtype, stored):
    row = weight(shape=(2,), quantization={"dtype": dtype, "scale": 0.5, "min": -3})
    path.write_bytes(zipped({"model.json": json.dumps(model(row)), "a.bin": stored.tobytes()}))
    found = formats.read(path)["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        found, stored if dtype == "float16" else stored * np.float32(0.5) - 3
    )


BAD_EXPORTS = {
    "a path upwards": (model(weight(), paths=["../a.bin"]), "outside itself"),
    "an absolute path": (model(weight(), paths=["/etc/passwd"]), "outside itself"),
    "a path of Windows": (model(weight(), paths=["c:\\a.bin"]), "outside itself"),
    "a path that is a number": (model(weight(), paths=[3]), "no list of weights"),
    "a file twice": (model(weight(), weight("v"), paths=["a.bin", "./a.bin"]), "a file twice"),
    "a file that is absent": (model(weight(), paths=["c.bin"]), "'c.bin'"),
    "too few bytes": (model(weight(shape=(9, 9))), "end before the last"),
    "too many bytes": (model(weight(shape=(2,))), "take 8 bytes, its files have 16"),
    "a negative size": (model(weight(shape=(-2, -2))), "shape that is none"),
    "a size that is no integer": (model(weight(shape=(2.0, 2))), "shape that is none"),
    "sizes that overflow": (model(weight(shape=(2**30,) * 9)), "end before"),
    "nothing, but large": (model(weight(shape=(0, 2**30, 2**30))), "end before"),
    "an unknown dtype": (model(weight(dtype="string")), "of a kind that is not read"),
    "a dtype that is a list": (model(weight(dtype=[])), "a row without"),
    "unknown quantization": (
        model(weight(quantization={"dtype": "int4"})),
        "of a kind that is not read",
    ),
    "quantization without numbers": (
        model(weight(shape=(16,), quantization={"dtype": "uint8", "min": 1, "scale": "1"})),
        "no scale",
    ),
    "one name twice": (model(weight(shape=(2,)), weight(shape=(2,))), "two weights 'w'"),
    "no weights": (model(paths=[]), "no weights"),
    "no manifest": ({"a": 1}, "no list of weights"),
    "a row that is a string": (model("w"), "a row without"),
}


@pytest.mark.parametrize("name", BAD_EXPORTS)
def test_bad_exports_of_tensorflow_js_are_refused(tmp_path, name):
    table, match = BAD_EXPORTS[name]
    for file, data in {"model.json": json.dumps(table).encode(), "a.bin": FOUR.tobytes()}.items():
        (tmp_path / file).write_bytes(data)
    refused(tmp_path, match)
    path = tmp_path / "export"
    path.write_bytes(zipped({"model.json": json.dumps(table), "a.bin": FOUR.tobytes()}))
    refused(path, match)


def test_a_json_of_a_million_brackets_and_a_link_outwards_are_refused(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "model.json").write_text("[" * 10**6)
    refused(folder, "RecursionError")
    (tmp_path / "secret").write_bytes(FOUR.tobytes())
    (folder / "a.bin").symlink_to(tmp_path / "secret")
    (folder / "model.json").write_text(json.dumps(model(weight())))
    refused(folder, "'a.bin' of its own")


@pytest.mark.skipif(not MOBILENET.exists(), reason="the file is not beside the project")
def test_a_network_of_teachable_machine():
    found = formats.read(MOBILENET)
    assert len(found) == 263 and found["Conv1/kernel"].shape == (3, 3, 3, 16)
    assert sum(array.nbytes for array in found.values()) == 2154032
    assert all(np.isfinite(array).all() for array in found.values())
