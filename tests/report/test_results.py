"""The headline rows: which lines of the log they are; the interval against a published table."""

from pathlib import Path

import pytest

from vidjax.report.read import Run
from vidjax.report.results import interval, results, tiles, wilson_interval

HITS = {"name": "hits", "title": "hit rate", "unit": "%", "of_clips": True}
MEAN = {"name": "mean", "title": "mean of classes", "unit": "%"}


def make_run(lines, task):
    return Run(
        workdir=Path("run"),
        split="validation",
        config={},
        env={"task": task},
        metrics=tuple(lines),
        evaluation=None,
        problems=(),
    )


def test_best_by_the_scalar_that_the_task_names():
    lines = [
        {"step": 1, "val/hits": 0.5, "val/mean": 0.9, "val/num_clips": 20},
        {"step": 2, "val/hits": 0.7, "val/mean": 0.1, "val/num_clips": 20},
        {"step": 3, "val/hits": 0.7, "val/mean": 0.2, "val/num_clips": 20},
        {"step": 4, "train/loss": 0.1},
    ]
    for best, step in (("hits", 3), ("mean", 1)):
        run = make_run(lines, {"best": best, "scalars": [HITS, MEAN]})
        last, highest = results(run)
        assert (last.step, highest.step) == (3, step)
    # A task of which nothing is known has a last validation, and none that is the best.
    (last,) = results(make_run([{"step": 3, "val/loss": 1.0}], {}))
    assert last.values == {"loss": 1.0}


def test_only_a_share_of_clips_has_an_interval():
    line = {"step": 2, "val/hits": 0.7, "val/mean": 0.1, "val/num_clips": 20}
    run = make_run([line], {"best": "hits", "scalars": [HITS, MEAN]})
    hit_rate, mean, clips = tiles(run, results(run)[0])
    assert (hit_rate.title, hit_rate.value) == ("hit rate", "70.0 %")
    assert hit_rate.note == "95 % interval 48.1 to 85.5"
    assert (mean.value, mean.note) == ("10.0 %", "")
    assert (clips.value, clips.note) == ("20", "last validation in training, step 2")


def test_names_come_from_the_curves_where_nothing_else_has_them():
    run = make_run([{"step": 2, "val/hits": 0.7}], {"curves": [HITS]})
    assert [scalar.title for scalar in run.scalars] == ["hit rate", "loss"]


def test_wilson_interval_of_the_textbook():
    # 81 of 263: Newcombe, Statistics in Medicine 1998, table I, method 3
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20)[0] == 0.0
    assert interval(float("nan"), 20) == interval(0.5, float("inf")) == ""
