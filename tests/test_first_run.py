"""The first run of a newcomer, through the door, on a terminal."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """(folder, terminal) of r2p1d, made small, on the built-in set: on a terminal, from another
    folder, without git.
    """
    here = tmp_path_factory.mktemp("newcomer")
    (here / "mine.py").write_text((ROOT / "configs/r2p1d.py").read_text())
    small = {
        "model.width": 0.05,
        "model.lowering": "native",  # the least to compile
        "data.num_frames": 4,
        "data.size": 16,
        "data.resize": 18,
        "batch_size": 9,
    }
    small |= {
        "data.gestures.train_clips": 1,
        "data.gestures.validation_clips": 1,
        "num_steps": 3,
        "log_steps": 1,
    }
    words = [sys.executable, str(ROOT / "launch.py"), "--config", "mine.py"]
    words += [f"--config.{key}={value}" for key, value in small.items()]
    variables = {**os.environ, "PATH": str(here)}
    above, below = pty.openpty()
    process = subprocess.Popen(
        words, cwd=here, env=variables, stdout=below, stderr=below, stdin=subprocess.DEVNULL
    )
    os.close(below)
    began, seconds, text = time.monotonic(), None, b""
    while True:
        try:
            piece = os.read(above, 1 << 16)
        except OSError:  # how Linux says that nobody is left at the other end
            break
        if not piece:
            break
        seconds = seconds or time.monotonic() - began
        text += piece
    os.close(above)
    assert process.wait() == 0, text.decode()
    return here, text.decode().replace("\r\n", "\n"), seconds


def test_a_terminal_gets_one_line_that_is_rewritten(first):
    _, text, _ = first
    line = [part for part in text.split("\r\x1b[K") if part.startswith("step ")]
    whole = (
        r"step 3/3  loss \d\.\d+  top-1 [\d.]+ %  \d+ clips/s  waiting \d+ %  ETA 0:00"
        r"  \(synthetic\)\n"
    )
    assert any(re.match(whole, x) for x in line)
    assert all("\n" not in x for x in line if not x.startswith("step 3/3"))
    assert any("evaluating 27 clips" in x for x in line)


def test_something_is_said_soon_and_before_the_compiler_works(first):
    _, text, seconds = first
    assert seconds < 20  # the import of JAX, on cores that others use too
    assert text.index("compiling") < text.index("compiled in") < text.index("step 1/3")


def test_everything_about_the_built_in_set_says_synthetic(first):
    here, text, _ = first
    run = here / "runs/mine"
    assert "synthetic" in text.partition("\n")[0]
    assert all("(synthetic)" in line for line in text.split("\n") if "validation at step" in line)
    env = json.loads((run / "env.json").read_text())
    assert (
        env["data"]["synthetic"] is True
        and "synthetic" in env["data"]["about"]
        and env["commit"] == ""
    )
    for file in ("run.log", "report.html"):
        assert "synthetic" in (run / file).read_text()


def test_nobody_else_talks(first, whole):
    """Neither TensorFlow nor absl, Orbax, XLA or a warning."""
    ours = (
        r"Clips in Jester's layout from the folder synthetic-squares, 4 classes\.",
        r"tiny3d tiny3d, [\d,]+ parameters, 40 steps of 8 clips on 1 x cpu \(\d+ cores\)",
        r"compiling the training step: .*",
        r"compiled in \d+ s",
        r"validation at step \d+: top-1 .* %, top-5 .* %, mean of classes .* %, loss .*, 11 clips",
        r"step \d+/40  .*ETA \d+:\d\d",
        r"report: .*report\.html",
    )
    lines = (whole.parent / "stderr").read_text().splitlines()
    assert not [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in ours)]
    assert "oneDNN" not in first[1] and "WARNING" not in first[1]


def test_messages_are_in_the_log_of_the_folder(whole):
    log = (whole / "run.log").read_text()
    for line in (whole.parent / "stderr").read_text().splitlines():
        assert line in log or line.startswith("step ")
