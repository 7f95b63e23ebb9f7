"""The dry run: what it prints is true, and it needs no data, leaves nothing behind and loads no
TensorFlow.
"""

import re
import time
from pathlib import Path

import pytest

from configs import base
from vidjax import models
from vidjax.core.errors import DataError, UserError
from vidjax.run.config import flat, load_config

CONFIGS = Path(__file__).parents[2] / "configs"
R2P1D, TINY = str(CONFIGS / "r2p1d.py"), str(CONFIGS / "tiny3d.py")
# `probe` needs features that were made before; test_features describes it
NOT_HERE = ("base", "probe")
CLASSES = {"multilabel": 21, "framewise": 3, "segmentation": 2, "detection": 1}  # others have 27
EXPERIMENTS = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem not in NOT_HERE)


@pytest.fixture
def describe(job, capsys):
    """describe(config, *flags) -> what it prints, in this process."""

    def run(config, *flags):
        job(["--config", config, "--job", "describe", *flags])
        return capsys.readouterr().out

    return run


def total(text, name):
    """The exact number in a line of totals."""
    line = next(line for line in text.splitlines() if line.startswith(name))
    return int(re.findall(r"\d[\d,]*(?![\d.])", line)[-1].replace(",", ""))


def table(text):
    """The rows of endpoints: [name, shape, stride, frames, pixels, parameters, so far,
    multiply-adds in M, so far].
    """
    lines = text.split("\nnetwork:")[1].split("\n  stride;")[0].splitlines()[2:]
    return [line.replace(" M", "").replace(",", "").split() for line in lines]


def test_through_the_door(launch, tmp_path):
    """In an empty folder, with a TensorFlow that refuses to be imported: in seconds, and the
    folder stays empty.
    """
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("tensorflow", "clu"):
        (broken / f"{name}.py").write_text("raise SystemExit('imported')")
    here = tmp_path / "here"
    here.mkdir()
    settings = {
        "num_epochs": 10.0,
        "batch_size": 16,
        "data.num_frames": 5,
        "data.gestures.train_clips": 70,
    }
    began = time.monotonic()
    done = launch(
        [
            "--config",
            R2P1D,
            "--job",
            "describe",
            *(f"--config.{key}={value}" for key, value in settings.items()),
        ],
        cwd=here,
        PYTHONPATH=str(broken),
        VIDJAX_CACHE=str(here / "cache"),
    )
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert seconds < 20
    assert list(here.iterdir()) == []
    text = done.stdout
    config, defaults = flat(load_config(R2P1D)) | settings, flat(base.defaults())
    lines = text.split("\n\n")[0].splitlines()[1:]
    assert [line[2:].split()[0] for line in lines] == sorted(config)
    marked = {line.split()[1] for line in lines if line.startswith("* ")}
    assert marked == {
        key for key, value in config.items() if key not in defaults or value != defaults[key]
    }
    assert re.search(rf"\* data.num_frames +5 +{defaults['data.num_frames']}\n", text)
    assert "synthetic" in text and "27 classes" in text
    assert "1,890 clips, 119 batches of 16" in text
    assert "run: 1,182 steps of 16 clips" in text  # ten epochs of 1,890 clips: 1,181.25 batches


def test_counts_are_the_published(describe):
    """R(2+1)D-18 at full size for 27 classes: 31,313,976 parameters, 40.5191 G with 400 classes."""
    settings = {
        "model.variant": "r2plus1d_18",
        "model.width": 1.0,
        "data.num_frames": 16,
        "data.size": 112,
    }
    text = describe(
        f"{R2P1D}:jester", *(f"--config.{key}={value}" for key, value in settings.items())
    )
    assert total(text, "parameters") == 31313976
    assert total(text, "multiply-adds") == pytest.approx(40.5191e9, rel=1e-3)
    rows = table(text)
    # fields by the formula: 4 convolutions a stage, each adds 2 steps of the stride so far
    assert [row[:5] for row in rows] == [
        ["stem", "16x56x56x64", "1x2x2", "3", "7x7"],
        ["stage1", "16x56x56x64", "1x2x2", "11", "23x23"],
        ["stage2", "8x28x28x128", "2x4x4", "25", "51x51"],
        ["stage3", "4x14x14x256", "4x8x8", "53", "107x107"],
        ["stage4", "2x7x7x512", "8x16x16", "109", "219x219"],
        ["features", "2x7x7x512", "8x16x16", "109", "219x219"],
        ["logits", "27", "-", "all", "all"],
    ]
    assert sum(int(row[5]) for row in rows) == int(rows[-1][6]) == 31313976
    assert int(rows[-1][5]) == 512 * 27 + 27
    # by hand: 7x7 on 3 channels, then 3 frames on 45, at 16 frames of 56x56
    assert float(rows[0][7]) == pytest.approx(
        (49 * 3 * 45 + 3 * 45 * 64) * 16 * 56 * 56 / 1e6, abs=0.01
    )


@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("multilabel", "slowfast", "tsm")
        else pytest.param(name, marks=pytest.mark.sweep)
        for name in EXPERIMENTS
    ],
)
def test_every_config_can_be_described(describe, name):
    """On the built-in set."""
    text = describe(f"{CONFIGS / name}.py")
    rows, num_classes = table(text), int(re.search(r"(\d+) classes\n", text)[1])
    assert num_classes == CLASSES.get(name, 27)
    answers = [int(length) for length in rows[-1][1].split("x")]
    background = name == "detection"  # which is none of its classes
    assert rows[-1][0] == "logits" and answers[-1] == num_classes + background
    assert (len(answers) > 1) == (name in ("framewise", "segmentation", "detection"))
    assert rows[0][0] in ("stem", "stem_spatial")
    assert float(rows[-1][8]) > 10


def test_without_data_the_rest_is_there(describe, tmp_path):
    """No root, a root that is not there: the network is counted for Jester's classes, the length
    is unknown.
    """
    for root in ("", str(tmp_path / "nothing")):
        text = describe(f"{R2P1D}:jester", f"--config.data.root={root}", "--config.model.width=0.1")
        assert "27 classes assumed" in text and "an unknown number of steps" in text
        assert (
            text.count(
                f"unknown: no data at {root}"
                if root
                else "unknown: --config.data.root=DIR is not set"
            )
            == 2
        )
    settings = {
        "num_steps": 500,
        "batch_size": 32,
        "schedule.warmup_steps": 100,
        "optim.learning_rate": 0.004,
    }
    text = describe(
        f"{R2P1D}:jester", *(f"--config.{key}={value}" for key, value in settings.items())
    )
    assert "run: 500 steps of 32 clips" in text and "0 at 0, 0.004 at 100" in text


def test_lists_are_counted(describe, squares, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "cache"))
    settings = {
        "data.root": squares,
        "batch_size": 5,
        "num_epochs": 2.0,
        "schedule.warmup_steps": 11,
    }
    text = describe(
        f"{TINY}:jester", *(f"--config.{key}={value}" for key, value in settings.items())
    )
    assert (
        "4 classes" in text
        and "24 clips, 5 batches of 5" in text
        and "11 clips, 3 batches of 5" in text
    )
    assert "run: 10 steps" in text and "its warm-up, 11 steps, takes the whole run" in text
    assert not (tmp_path / "cache").exists()


def test_a_work_folder_instead_of_a_config(job, tiny, tmp_path, capsys):
    """What an existing run was begun with, without a word on defaults that it may not have started
    from.
    """
    config = load_config(TINY)
    config.data.num_frames, config.data.size = 6, 32
    (tmp_path / "config.json").write_text(config.to_json_best_effort())
    before = sorted(tmp_path.iterdir())
    job(["--workdir", tmp_path, "--job", "describe"])
    assert "6x32x32x3 [T, H, W, C]" in capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "flag, error, message",
    [
        ("--config.model.variant=r2plus1_18", UserError, "Did you mean 'r2plus1d_18'"),
        ("--config.model.lowering=fold", UserError, "lowering is 'fold'.*Did you mean 'folded'"),
        ("--config.model.midplanes=torch", UserError, "midplanes is 'torch'"),
        ("--config.modle.width=1", UserError, "Did you mean --config.model.width"),
        ("--config.optim.name=sdg", UserError, "optim.name: There is no optim 'sdg'"),
        ("--config.schedule.name=cos", UserError, "schedule.name: There is no schedule 'cos'"),
        ("--config.data.size=0", UserError, "data.size"),
        ("--config.batch_size=0", UserError, "batch_size is 0"),
        ("--config.augment.flip=2.0", UserError, "flip"),
        ("--config.data.name=jestr", DataError, "Did you mean 'jester'"),
    ],
)
def test_what_cannot_be_run_is_refused(describe, capsys, flag, error, message):
    with pytest.raises(error, match=message) as caught:
        describe(R2P1D, flag)
    assert caught.value.exit_code == 2 and len(str(caught.value).splitlines()) <= 5
    assert capsys.readouterr().out == ""  # all of it or nothing


def test_memory_is_told_when_asked_for(describe):
    """A step takes at least the output of the stem and what its kernel gradient is made of."""
    settings = {"model.width": 0.05, "data.num_frames": 4, "data.size": 24, "batch_size": 32}
    flags = [f"--config.{key}={value}" for key, value in settings.items()]
    assert "memory          with --memory" in describe(TINY, *flags)
    text = describe(TINY, "--memory", *flags)
    held, count, each, given = re.search(
        r"memory +([\d.]+) MiB for a training step of (\d+) clips, "
        r"([\d.]+) MiB a clip.* beside ([\d.]+) MiB",
        text,
        re.DOTALL,
    ).groups()
    rows = table(text)
    frames, height, width, channels = map(int, rows[0][1].split("x"))
    assert int(count) == 32 and float(held) / 32 == pytest.approx(float(each), abs=0.01)
    assert float(held) > 32 * frames * height * width * channels * 4 / 2**20
    assert float(given) > 32 * 4 * 24 * 24 * 3 / 2**20  # the batch, in bytes
    assert "compiled in" in text


def test_all_networks_at_once(job, capsys, monkeypatch):
    """A page for the families that there are; progress goes elsewhere, and no config is needed."""
    monkeypatch.setattr(models, "names", lambda: ["tiny3d"])
    job(["--job", "describe", "--all"])
    printed = capsys.readouterr()
    assert printed.out.startswith("# The networks\n") and "\n## tiny3d\n" in printed.out
    assert "| tiny3d | 27 |" in printed.out and "tiny3d tiny3d" in printed.err


@pytest.mark.parametrize("flag", ["--all", "--memory"])
def test_flags_of_describe_belong_to_it(job, flag):
    with pytest.raises(UserError, match=f"(?i)unrecognized arguments: {flag}"):
        job(["--config", TINY, flag])
