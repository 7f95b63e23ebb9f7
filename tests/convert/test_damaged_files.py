"""Small valid weight files with random damage.

Each is read, or refused in a sentence, and nothing else happens.
"""

import importlib.util
import io
import json
import pickletools
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vidjax.convert import formats
from vidjax.convert.formats import pickles
from vidjax.core.errors import ConvertError


def load(name):
    """A Python file beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile = load("hostile")


def good_files():
    """(name, bytes) of a small valid file of every form."""
    yield from (
        (path.name, path.read_bytes())
        for path in sorted((Path(__file__).parent / "files").glob("*.pt"))
    )
    yield "zip", hostile.GOOD
    yield "legacy", hostile.writer.legacy_file(hostile.STATE, {"0": (6, hostile.FLOATS)})
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    yield "safetensors", struct.pack("<Q", len(header)) + header + hostile.FLOATS
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        row = {"name": "w", "shape": [2, 3], "dtype": "float32"}
        file.writestr(
            "model.json", json.dumps({"weightsManifest": [{"paths": ["a"], "weights": [row]}]})
        )
        file.writestr("a", hostile.FLOATS)
    yield "export", out.getvalue()


def damage(data, draw):
    """The bytes cut, or with one to four of them changed."""
    if draw.random() < 0.25:
        return data[: draw.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        changed[draw.randrange(len(data))] = draw.choice((0, 1, 255, draw.randrange(256)))
    return bytes(changed)


@pytest.mark.parametrize("name, data", list(good_files()), ids=[name for name, _ in good_files()])
def test_random_damage_gives_arrays_or_a_sentence(tmp_path, name, data):
    draw, path, outcomes = random.Random(name), tmp_path / "weights", set()
    for _ in range(80):
        path.write_bytes(damage(data, draw))
        try:
            found = formats.read(path, max_bytes=10**8)
            assert all(isinstance(array, np.ndarray) for array in found.values())
            sum(
                float(np.nansum(array, dtype=np.float64))
                for array in found.values()
                if array.nbytes < 10**6
            )
        except ConvertError as error:
            assert len(str(error).splitlines()) <= 5
            outcomes.add("refused")
    assert outcomes == {"refused"}


def test_random_operations_give_a_value_or_a_sentence():
    """Any bytes as a pickle, most of them of operations that there are."""
    draw, known = random.Random(7), [code.code.encode("latin-1") for code in pickletools.opcodes]
    for _ in range(3000):
        words = [
            draw.choice(known) + draw.randbytes(draw.choice((0, 0, 1, 4)))
            for _ in range(draw.randint(1, 30))
        ]
        try:
            pickles.load(io.BytesIO(b"NNN(NN" + b"".join(words) + b"."))
        except ConvertError:
            pass
