"""The line on a terminal and without one; files that a resumed run takes back; rates."""

import io
import json
import os
import pty
import re

import numpy as np
import pytest

from vidjax.run import progress

SCALARS = {
    "train/loss": 2.3456,
    "train/top1": 0.342,
    "train/clips_per_second": 41.2,
    "train/data_wait": 0.031,
}


def describe(scalars):
    """The words of a task."""
    return [f"loss {scalars['train/loss']:.3f}", f"top-1 {100 * scalars['train/top1']:.1f} %"]


def test_the_text_of_the_line(monkeypatch):
    time, stream = Time(monkeypatch), io.StringIO()
    line = progress.Line(400, 0, describe=describe, note="  (synthetic)", stream=stream)
    time.now += 40 * 201 / 360
    line.show(40, SCALARS)
    assert stream.getvalue() == (
        "step 40/400  loss 2.346  top-1 34.2 %  41 clips/s  waiting 3 %  ETA 3:21  (synthetic)\n"
    )
    assert progress.duration(3723) == "1:02:03" and progress.duration(5) == "0:05"


class Time:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_without_a_terminal_a_line_every_ten_seconds(monkeypatch):
    time, stream = Time(monkeypatch), io.StringIO()
    line = progress.Line(100, 0, describe=describe, stream=stream)
    for step in range(1, 101):
        time.now += 0.5
        line.busy("something")
        line.show(step, SCALARS)
    lines = stream.getvalue().splitlines()
    assert [int(re.match(r"step (\d+)/100  loss", text)[1]) for text in lines] == [
        20,
        40,
        60,
        80,
        100,
    ]
    assert "\r" not in stream.getvalue() and lines[0].endswith("ETA 0:40")


def test_the_eta_leaves_out_pauses_and_earlier_runs(monkeypatch):
    time, stream = Time(monkeypatch), io.StringIO()
    line = progress.Line(100, 50, describe=describe, stream=stream)
    time.now += 100
    line.pause(100)
    time.now += 10
    line.show(60, {})
    assert stream.getvalue() == "step 60/100  ETA 0:40\n"


def test_on_a_terminal_one_line_is_rewritten():
    above, below = pty.openpty()
    with open(below, "w") as stream:
        line = progress.Line(5, 0, describe=describe, stream=stream)
        line.shown = 0.0
        for step in range(1, 6):
            line.shown -= 1
            line.show(step, SCALARS)
        line.busy("step 5: evaluating")
    text = ""
    while "evaluating" not in text:
        text += os.read(above, 10_000).decode()
    os.close(above)
    assert text.count("\n") == 1  # behind the last step
    assert [part.split("/")[0] for part in text.split("\r\x1b[K")[1:]] == [
        "step 1",
        "step 2",
        "step 3",
        "step 4",
        "step 5",
        "step 5: evaluating ...",
    ]


def test_metrics_go_on_where_the_checkpoint_was(tmp_path):
    metrics = progress.Metrics(tmp_path, 0)
    for step in (5, 10, 15):
        metrics.write(step, {"train/loss": step / 7})
    metrics.write(10 + 5, {"val/loss": 0.5})
    metrics.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 20, "train/lo')  # a kill in the middle of a write
    metrics = progress.Metrics(tmp_path, 15)
    assert metrics.evaluated(15) and not metrics.evaluated(10)
    metrics.close()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [5, 10, 15, 15] and rows[0]["train/loss"] == 5 / 7
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write("5\n")  # a line of another form
    progress.Metrics(tmp_path, 10).close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    progress.Metrics(tmp_path, 0).close()
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_numbers_json_lacks_become_null(tmp_path):
    metrics = progress.Metrics(tmp_path, 0)
    metrics.write(1, {"a": float("nan"), "b": float("-inf"), "c": 1.0})
    metrics.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "step": 1,
        "a": None,
        "b": None,
        "c": 1.0,
    }


def test_clips_log_goes_on_where_the_checkpoint_was(tmp_path):
    log = progress.ClipsLog(tmp_path, 0)
    for step in range(1, 9):
        log.write(step, f"{step:08x}")
    log.close()
    log = progress.ClipsLog(tmp_path, 6)
    log.write(7, "again")
    log.close()
    assert (tmp_path / "clips.log").read_text().split() == sum(
        ([str(step), f"{step:08x}"] for step in range(1, 7)), []
    ) + ["7", "again"]


def test_rates_leave_out_what_is_skipped(monkeypatch):
    time = Time(monkeypatch)
    clock = progress.Clock()

    def batches():
        while True:
            time.now += 1
            yield "batch"

    source = batches()
    for _ in range(4):
        assert clock.waiting(source) == "batch"
        time.now += 3
        clock.count(8)
    time.now += 50
    clock.skip(50)
    scalars = clock.read()
    np.testing.assert_allclose(
        [scalars["train/clips_per_second"], scalars["train/data_wait"]], [2.0, 0.25]
    )
    time.now += 2
    clock.count(8)
    assert clock.read() == pytest.approx({"train/clips_per_second": 4.0, "train/data_wait": 0.0})
