"""The bench through the door, on a network of nothing: what it writes holds together, and what it refuses."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.flags import BenchFlags
from vidjax import jobs
from vidjax.core.errors import UserError
from vidjax.run import command

TINY = str(Path(__file__).parents[2] / "configs/tiny3d.py")
WITH_TORCH = importlib.util.find_spec("torch") is not None
# four convolutions: every program of it is compiled, and compiling takes most of the time
NOTHING = """
from configs import common

def get_config(preset=""):
    config = common.base(preset)
    config.model.name = config.model.variant = "tiny3d"
    common.add_fields(config, channels=(3, 6), strides=((1, 2, 2), (1, 2, 2)))
    return config
"""


@pytest.fixture
def nothing(tmp_path):
    """The file of a config whose network has a stem and one block."""
    path = tmp_path / "nothing.py"
    path.write_text(NOTHING)
    return path


def test_networks(job, nothing, tmp_path, capsys):
    words = ["--config", nothing, "--clips", "1x2x8x8", "--rounds", "2", "--against", "flax"]
    job(["--job", "bench", *words, "--workdir", tmp_path])
    text = capsys.readouterr().out
    assert text == (tmp_path / "bench.md").read_text() and "PyTorch" not in text
    content = json.loads((tmp_path / "bench.json").read_text())
    rows, found = content["networks"], content["convolutions"]
    assert [(row["step"], row["contestant"]) for row in rows] == [
        (step, by) for step in ("forward", "train") for by in ("vidjax", "Flax")
    ]
    (rate,) = content["about"]["machine"]["products"]["float32"].values()
    for row in rows:
        passes = 3 if row["step"] == "train" else 1
        assert (
            row["clip"] == "1x2x8x8"
            and row["network"].startswith("tiny3d channels=(3, 6)")
            and len(row["samples"]) == 2
        )
        assert row["clips_per_second"] == pytest.approx(1 / row["seconds"])
        assert row["gflops"] == pytest.approx(2e-9 * passes * row["multiply_adds"] / row["seconds"])
        assert row["mfu"] == pytest.approx(1e9 * row["gflops"] / rate) and 0 < row["mfu"] < 1.5
        assert row["memory"] > 4 * row["parameters"] and row["memory_by"] == "compiler"
        assert row["compile_cold"] > 0 and row["compile_warm"] > 0 and row["over_torch"] is None
    linear = rows[0]["multiply_adds"] - sum(row["count"] * row["multiply_adds"] for row in found)
    assert linear == 6 * 400
    assert {row["step"] for row in found} == {"forward"} and all(
        row["seconds"]["auto"] > 0 for row in found
    )
    assert "Convolutions of" not in text and Image.open(tmp_path / "roofline.png").size[0] > 1000
    assert content["about"]["versions"]["jax"] and content["about"]["flags"]["rounds"] == 2


def test_convolutions_and_what_is_said_without_pytorch(job, nothing, tmp_path, capsys):
    words = [
        "--clips",
        "1x1x8x8",
        "--precisions",
        "bfloat16",
        "--steps",
        "forward",
        "--rounds",
        "1",
    ]
    words += ["--convolutions", "--against", "torch"]
    job(["--job", "bench", "--networks", nothing, *words, "--workdir", tmp_path])
    text, found = (
        capsys.readouterr().out,
        json.loads((tmp_path / "bench.json").read_text())["convolutions"],
    )
    assert (
        "| bfloat16  | forward | vidjax |" in text
        and f"| {found[0]['name']} " in text
        and len(found) == 4
    )
    assert all({"auto", "native", "folded", "shifted"} <= set(row["seconds"]) for row in found)
    assert all(len(samples) == 1 for row in found for samples in row["samples"].values())
    assert (
        "no PyTorch network of that kind"
        if WITH_TORCH
        else "Note: PyTorch is left out: ModuleNotFound"
    ) in text


@pytest.mark.parametrize(
    "words, parts",
    [
        ([], ["--networks", "--config"]),
        (["--networks", "r3d_81"], ["'r3d_81'", "Did you mean 'r3d_18'?"]),
        (["--networks", "r3d_18", "--clips", "8x112"], ["'8x112'", "2x8x112x112"]),
        (["--networks", "r3d_18", "--clips", "0x8x112x112"], ["'0x8x112x112'"]),
        (["--networks", "r3d_18", "--precisions", "float16"], ["'float16'", "bfloat16"]),
        (["--networks", "r3d_18", "--against", "troch"], ["'troch'", "Did you mean 'torch'?"]),
        (["--networks", "r3d_18", "--steps", "backward"], ["'backward'", "forward"]),
        (["--networks", "r3d_18", "--rounds", "0"], ["--rounds is 0"]),
        (
            ["--networks", "conv_column_5", "--clips", "1x1x8x8"],
            ["conv_column_5 at 1x1x8x8", "16x78x78"],
        ),
        (["--networks", "configs/nothing.py"], ["configs/nothing.py"]),
        (
            ["--networks", "r3d_18", "--torch-python", "/nowhere/python"],
            ["/nowhere/python", "No such file"],
        ),
    ],
)
def test_refusals(job, tmp_path, words, parts):
    with pytest.raises(UserError) as refused:
        job(["--job", "bench", "--workdir", tmp_path, *words])
    message = str(refused.value)
    assert all(part in message for part in parts) and len(message.splitlines()) <= 5, message


def test_its_flags_are_its_own(job):
    request = command.parse(
        ["--job", "bench", "--networks", "r3d_18,x3d_s", "--rounds", "3"], jobs.names()
    )
    assert (request.workdir, request.config, request.bench.rounds) == (Path("runs/bench"), None, 3)
    assert command.parse(["--config", TINY], jobs.names()).bench == BenchFlags()
    with pytest.raises(UserError, match="--torch-python goes with --job bench"):
        job(["--config", TINY, "--torch-python", "python"])
