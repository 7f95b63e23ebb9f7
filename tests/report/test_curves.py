"""The curves: smoothing against NumPy, and names that stand where their lines end."""

from pathlib import Path

import numpy as np
import pytest

from vidjax.report.curves import draw_panel, short_count, smoothed
from vidjax.report.read import Run
from vidjax.report.theme import LIGHT, make_figure


@pytest.mark.parametrize("num_classes", [None, 2, 100])
def test_names_stand_at_the_ends_of_the_lines(num_classes):
    lines = [{"step": step, "train/top1": 0.9, "val/top1": 0.1} for step in (1, 2)]
    run = Run(
        Path("run"),
        "validation",
        {},
        {"data": {"num_classes": num_classes}},
        tuple(lines),
        None,
        (),
    )
    axes = make_figure(400, 300, theme=LIGHT).add_axes((0.1, 0.1, 0.5, 0.8))
    draw_panel(axes, run, "top1", theme=LIGHT)
    heights = {
        words.get_text().split("\n")[0]: words.xy[1] * axes.get_ylim()[1] for words in axes.texts
    }
    assert heights["training"] == pytest.approx(90) and heights["validation"] == pytest.approx(10)


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
