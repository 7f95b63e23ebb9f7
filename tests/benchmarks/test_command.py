"""Benchmarks through the door, on a tiny network: what is written, and what is refused."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import machine
from benchmarks.__main__ import run
from benchmarks.jax_convolutions import LOWERINGS
from vidjax.core.errors import UserError

ROOT = Path(__file__).parents[2]
WITH_TORCH = importlib.util.find_spec("torch") is not None
# It has three distinct convolutions: compiling them is what takes the time.
NOTHING = """
from configs import base

def get_config(preset=""):
    return base.build(preset, network=network)

def network(config):
    config.model.name = config.model.variant = "tiny3d"
    config.model.channels = (4, 4, 4, 4)
    config.model.strides = ((1, 2, 2), (1, 1, 1), (1, 1, 1), (1, 1, 1))
"""
# All that the worker asks of a checkout. Its vidjax has a network of one matrix.
CHECKOUT = {
    "__init__.py": "",
    "run/__init__.py": "",
    "run/devices.py": """
INIT_OPTIONS = {}

def compiler_options():
    return {}

def lowering(options):
    return "auto"
""",
    "models.py": """
import jax.numpy as jnp

def build(name, *, variant, num_classes, lowering, dtype, **fields):
    assert fields["channels"] == (4, 4, 4, 4)
    return Network(num_classes)

class Network:
    def __init__(self, num_classes):
        self.num_classes = num_classes

    def init(self, key, video, *, train):
        return {"params": {"kernel": jnp.ones((video[0].size, self.num_classes))}}

    def apply(self, variables, video, *, train, mutable=None, rngs=None):
        logits = video.reshape(len(video), -1) @ variables["params"]["kernel"]
        return (logits, {}) if mutable else logits
""",
}


@pytest.fixture
def nothing(tmp_path):
    """The file of the config."""
    path = tmp_path / "nothing.py"
    path.write_text(NOTHING)
    return path


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """measure(*words): what the door does, in this process, with the machine's rates cheap."""
    monkeypatch.setitem(machine.SIDES, "cpu", (64,))
    monkeypatch.setitem(machine.NUMBERS, "cpu", 2**12)
    return lambda *words: run([*(str(word) for word in words), "--out", str(tmp_path)])


def test_networks(measure, nothing, tmp_path, capsys):
    """Every number of `bench.json` follows from its samples, and the page is what was printed."""
    measure("--config", nothing, "--clips", "1x2x8x8", "--rounds", 2, "--against", "flax")
    page = capsys.readouterr().out
    assert page == (tmp_path / "bench.md").read_text()
    assert "PyTorch" not in page
    assert "Convolutions of" not in page
    content = json.loads((tmp_path / "bench.json").read_text())
    rows, convolutions = content["networks"], content["convolutions"]
    assert [(row["step"], row["contestant"]) for row in rows] == [
        ("forward", "vidjax"),
        ("forward", "Flax"),
        ("train", "vidjax"),
        ("train", "Flax"),
    ]
    (rate,) = content["about"]["machine"]["products"]["float32"].values()
    for row in rows:
        passes = 3 if row["step"] == "train" else 1
        operations = 2 * passes * row["multiply_adds"]
        assert row["clip"] == "1x2x8x8"
        assert row["network"].startswith("tiny3d channels=(4, 4, 4, 4)")
        assert len(row["samples"]) == 2
        assert row["clips_per_second"] == pytest.approx(1 / row["seconds"])
        assert row["gflops"] == pytest.approx(1e-9 * operations / row["seconds"])
        assert row["mfu"] == pytest.approx(1e9 * row["gflops"] / rate)
        assert row["memory"] > 4 * row["parameters"]
        assert row["memory_by"] == "compiler"
        assert row["compile_cold"] > 0 and row["compile_warm"] > 0
        assert row["over_torch"] is None
    # What is no convolution is the linear layer of the head.
    of_convolutions = sum(row["count"] * row["multiply_adds"] for row in convolutions)
    assert rows[0]["multiply_adds"] - of_convolutions == 4 * 400
    assert {row["step"] for row in convolutions} == {"forward"}
    assert all(row["seconds"]["auto"] > 0 for row in convolutions)
    assert Image.open(tmp_path / "roofline.png").size[0] > 1000
    about = content["about"]
    assert about["versions"]["jax"] and about["flags"]["rounds"] == 2
    assert about["environment"]["command"].startswith("python -m benchmarks --config")


def test_convolutions_and_what_is_said_without_pytorch(measure, nothing, tmp_path, capsys):
    """Every lowering runs once, also where PyTorch is missing or has no such network."""
    words = ["--networks", nothing, "--clips", "1x1x8x8", "--precisions", "bfloat16"]
    measure("convolutions", *words, "--steps", "forward", "--rounds", 1)
    page = capsys.readouterr().out
    content = json.loads((tmp_path / "bench.json").read_text())
    rows = content["convolutions"]
    assert "networks" not in content
    assert len(rows) == 3
    for row in rows:
        assert f"| {row['name']} " in page
        assert {"auto", *LOWERINGS} <= set(row["seconds"])
        assert all(len(samples) == 1 for samples in row["samples"].values())
    if not WITH_TORCH:
        assert "Note: PyTorch is left out: ModuleNotFound" in page


def test_streams(measure, nothing, tmp_path, capsys):
    measure("streams", "--config", nothing, "--clips", "2x3x8x8", "--rounds", 2)
    page = capsys.readouterr().out
    assert page == (tmp_path / "bench.md").read_text()
    (row,) = json.loads((tmp_path / "bench.json").read_text())["streams"]
    assert row["frame"] == "2x8x8" and row["period"] == 1 and row["clip_frames"] == 3
    assert row["network"].endswith("causal=True") and f"| {row['network']} |" in page
    # Seven convolutions of 3 frames keep two each: of the video's 3 channels, or of 4, whose size
    # is halved by the stem. The head keeps its mean, of 4 channels, and one count.
    kept = 2 * 2 * (8 * 8 * 3 + 6 * 4 * 4 * 4) + 2 * 4
    assert row["carried_bytes"] == 4 * (kept + 1)
    assert len(row["samples"]) == 2 and min(row["samples"]) > 0


def test_checkouts(measure, nothing, tmp_path, capsys):
    """Both are asked for the same steps, each in a process that imports its own vidjax."""
    for name, text in CHECKOUT.items():
        path = tmp_path / "other" / "vidjax" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    words = ["--config", nothing, "--clips", "1x2x8x8", "--rounds", 2]
    measure("checkouts", "--against-checkout", tmp_path / "other", *words)
    assert capsys.readouterr().out == (tmp_path / "bench.md").read_text()
    rows = json.loads((tmp_path / "bench.json").read_text())["checkouts"]
    folders = [str(tmp_path / "other"), str(ROOT)]
    assert [(row["step"], row["checkout"]) for row in rows] == [
        ("forward", folders[0]),
        ("forward", folders[1]),
        ("train", folders[0]),
        ("train", folders[1]),
    ]
    for other, this in (rows[:2], rows[2:]):
        assert other["ratio"] == 1
        assert this["ratio"] == pytest.approx(this["seconds"] / other["seconds"])
        assert len(this["samples"]) == 2


@pytest.mark.parametrize(
    "words, parts",
    [
        ([], ["--networks", "--config"]),
        (["netwroks"], ["'netwroks'", "Did you mean 'networks'?"]),
        (["--networks", "r3d_81"], ["'r3d_81'", "Did you mean 'r3d_18'?"]),
        (["--networks", "r3d_18", "--clips", "8x112"], ["'8x112'", "2x8x112x112"]),
        (["--networks", "r3d_18", "--clips", "0x8x112x112"], ["'0x8x112x112'"]),
        (["--networks", "r3d_18", "--precisions", "float16"], ["'float16'", "bfloat16"]),
        (["--networks", "r3d_18", "--against", "troch"], ["'troch'", "Did you mean 'torch'?"]),
        (["--networks", "r3d_18", "--steps", "backward"], ["'backward'", "forward"]),
        (["convolutions", "--networks", "r3d_18", "--steps", "remat"], ["'remat'", "train"]),
        (["--networks", "r3d_18", "--rounds", "0"], ["--rounds is 0"]),
        (["--networks", "r3d_18", "--rounds", "two"], ["--rounds", "'two'", "--help"]),
        (["--netwroks", "r3d_18"], ["--netwroks", "--help"]),
        (["streams", "--networks", "c3d"], ["C3D has no causal form"]),
        (["checkouts", "--networks", "r3d_18"], ["--against-checkout DIR"]),
        (
            ["checkouts", "--networks", "tiny3d", "--against-checkout", "/nowhere"],
            ["/nowhere is no checkout"],
        ),
        (
            ["--networks", "conv_column_5", "--clips", "1x1x8x8"],
            ["conv_column_5 at 1x1x8x8", "16x78x78"],
        ),
        (["--networks", "configs/nothing.py"], ["configs/nothing.py"]),
        (
            ["--networks", "tiny3d", "--torch-python", "/nowhere/python"],
            ["/nowhere/python", "No such file"],
        ),
    ],
)
def test_refusals(measure, words, parts):
    with pytest.raises(UserError) as refused:
        measure(*words)
    message = str(refused.value)
    assert all(part in message for part in parts), message
    assert len(message.splitlines()) <= 5, message


def test_the_door():
    """As a user types it: a wrong name ends with a sentence and the exit code of wrong use."""
    words = [sys.executable, "-m", "benchmarks", "--networks", "r3d_81"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: --networks: There is no network 'r3d_81'.")
