"""The curves: a panel for each, smoothing against NumPy, and names at the ends of their lines."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from vidjax.report.curves import WIDTH, draw_curves, draw_panel, panel_title, smoothed
from vidjax.report.png import png_size
from vidjax.report.read import Run, Scalar
from vidjax.report.theme import LIGHT, SCALE, make_figure
from vidjax.report.values import short_count

SHARE = Scalar("hits", "hits", "%")


def make_run(lines, task=None):
    return Run(
        workdir=Path("run"),
        split="validation",
        config={},
        env={"task": task or {}},
        metrics=tuple(lines),
        evaluation=None,
        problems=(),
    )


@pytest.mark.parametrize("chance", [math.nan, 0.5, 0.01])
def test_names_stand_at_the_ends_of_the_lines(chance):
    run = make_run([{"step": step, "train/hits": 0.9, "val/hits": 0.1} for step in (1, 2)])
    axes = make_figure(400, 300, theme=LIGHT).add_axes((0.1, 0.1, 0.5, 0.8))
    draw_panel(axes, run, dataclasses.replace(SHARE, chance=chance), theme=LIGHT)
    heights = {}
    for words in axes.texts:
        heights[words.get_text().split("\n")[0]] = words.xy[1] * axes.get_ylim()[1]
    assert heights["training"] == pytest.approx(90) and heights["validation"] == pytest.approx(10)
    assert any("chance" in name for name in heights) == (not math.isnan(chance))


@pytest.mark.parametrize("num_curves, num_rows", [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3)])
def test_a_panel_for_each_curve_of_the_task(num_curves, num_rows):
    curves = [{"name": f"s{at}", "title": f"S {at}", "unit": ""} for at in range(num_curves)]
    run = make_run([{"step": 1, "train/loss": 1.0}], {"curves": curves})
    width, height = png_size(draw_curves(run))
    assert (width, height) == (SCALE * WIDTH, SCALE * (340 + 290 * (num_rows - 1)))


def test_a_unit_is_named_in_the_title():
    assert panel_title(SHARE) == "hits (%)"
    assert panel_title(dataclasses.replace(SHARE, of_clips=True)) == "hits (% of clips)"
    assert panel_title(Scalar("error", "error", "s")) == "error (s)"
    assert panel_title(Scalar("error", "error")) == "error"


def test_smoothing_against_a_window():
    values = np.random.default_rng(0).normal(size=130)
    expected = [
        values[max(0, at - 3) : at + 4].mean() for at in range(130)
    ]  # 130 // 40 to either side
    np.testing.assert_allclose(smoothed(values), expected)
    np.testing.assert_allclose(smoothed(values[:30]), values[:30])


def test_short_counts():
    assert [short_count(step) for step in (0, 250, 1500, 20000, 2.5e6)] == [
        "0",
        "250",
        "1.5k",
        "20k",
        "2.5M",
    ]
