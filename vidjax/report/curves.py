"""Training curves: loss, top-1 and learning rate over steps, each line named where it ends."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from vidjax.report.read import Run, number
from vidjax.report.theme import LIGHT, Theme, make_figure, points, put_heading, to_png

WIDTH, HEIGHT = 1040, 340
# left edge and width of the panels in CSS pixels; the room to the right of a panel holds the names of its lines
PANELS = {"loss": (52, 290), "top1": (488, 280), "rate": (918, 100)}
TOP, BOTTOM = 96, 46
KEYS = ("train/loss", "train/top1", "train/learning_rate", "val/loss", "val/top1")


def draw_curves(run: Run, *, theme: Theme = LIGHT) -> bytes | None:
    """PNG of the curves, None where metrics.jsonl has no finite value of any."""
    if not any(run.series(key)[0].size for key in KEYS):
        return None
    figure = make_figure(WIDTH, HEIGHT, theme=theme)
    title = "Training curves"
    steps = [line["step"] for line in run.metrics]
    put_heading(
        figure, title, f"{run.name}, to step {max(steps):,}", theme=theme, synthetic=run.synthetic
    )
    axes = {}
    for name, (left, width) in PANELS.items():
        box = (left / WIDTH, BOTTOM / HEIGHT, width / WIDTH, (HEIGHT - TOP - BOTTOM) / HEIGHT)
        axes[name] = figure.add_axes(box, facecolor=theme.paper)
        set_axes(
            axes[name],
            (min(0, *steps), max(1, *steps)),
            theme=theme,
            num_ticks=2 if name == "rate" else 5,
        )
    draw_panel(axes["loss"], run, "loss", theme=theme)
    draw_panel(axes["top1"], run, "top1", theme=theme)
    draw_rate(axes["rate"], run, theme=theme)
    return to_png(figure, title=title + (" (synthetic data)" if run.synthetic else ""))


def set_axes(axes: Axes, limits: tuple[int, int], *, theme: Theme, num_ticks: int) -> None:
    axes.set_xlim(*limits)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(theme.muted)
    axes.tick_params(colors=theme.muted, labelsize=points(11), length=0, pad=4)
    axes.grid(axis="y", color=theme.rule, linewidth=points(1))
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(num_ticks, integer=True, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: short_count(step)))
    axes.set_xlabel("step", color=theme.muted, fontsize=points(11), labelpad=3)


def draw_panel(axes: Axes, run: Run, name: str, *, theme: Theme) -> None:
    """Training as logged (pale) and smoothed, validation with its points, both named with their last value."""
    title, unit, scale = {
        "loss": ("loss (nats)", "", 1),
        "top1": ("top-1 (% of clips)", " %", 100),
    }[name]
    set_title(axes, title, theme=theme)
    ends = []
    steps, values = run.series(f"train/{name}")
    if steps.size:
        smooth = smoothed(values * scale)
        axes.plot(steps, values * scale, color=theme.training, linewidth=points(1), alpha=0.35)
        axes.plot(
            steps, smooth, color=theme.training, linewidth=points(2), marker=lone_marker(steps)
        )
        ends.append((smooth[-1], "training", theme.training))
    steps, values = run.series(f"val/{name}")
    if steps.size:  # not clipped: the last point lies on the edge
        marker = "o" if steps.size <= 40 else lone_marker(steps)
        axes.plot(
            steps,
            values * scale,
            color=theme.right,
            linewidth=points(2.2),
            marker=marker,
            markersize=points(5),
            clip_on=False,
        )
        ends.append((values[-1] * scale, "validation", theme.right))
    if not ends:
        put_nothing(axes, theme=theme)
        return
    axes.set_ylim(*padded_limits(axes))
    if unit:
        set_percent_axis(axes, run, theme=theme)
    name_ends(axes, ends, unit=unit, theme=theme)  # last: the names stand by the limits


def padded_limits(axes: Axes) -> tuple[float, float]:
    """From zero, which both loss and accuracy have as their natural end, to a little above the highest point."""
    top = max(float(np.max(line.get_ydata())) for line in axes.lines)
    bottom = min(0.0, *(float(np.min(line.get_ydata())) for line in axes.lines))
    return bottom, top * 1.06 if top > 0 else 1.0


def name_ends(axes: Axes, ends: list[tuple[float, str, str]], *, unit: str, theme: Theme) -> None:
    """Names to the right of the panel, at the height of each line's end but never closer than two lines of text."""
    low, high = axes.get_ylim()
    height = axes.get_position().height * HEIGHT
    gap = 32 / height
    places = sorted(
        ((value - low) / (high - low), value, name, color) for value, name, color in ends
    )
    heights = [place[0] for place in places]
    if len(heights) == 2 and heights[1] - heights[0] < gap:
        middle = float(np.clip(sum(heights) / 2, gap / 2, 1 - gap / 2))
        heights = [middle - gap / 2, middle + gap / 2]
    for y, (_, value, name, color) in zip(heights, places, strict=True):
        text = f"{name}\n{value:.1f}{unit}" if unit else f"{name}\n{value:.3g}"
        axes.annotate(
            text,
            (1, y),
            xycoords="axes fraction",
            xytext=(points(10), 0),
            textcoords="offset points",
            color=color,
            fontsize=points(12),
            fontweight="bold",
            va="center",
            linespacing=1.15,
        )


def set_percent_axis(axes: Axes, run: Run, *, theme: Theme) -> None:
    """No more than 100 %, and a dotted line where a uniform guess would be."""
    num_classes = number(run.data.get("num_classes"))
    chance = 100 / num_classes if num_classes > 1 else 0.0
    axes.set_ylim(0, min(max(axes.get_ylim()[1], 1.25 * chance), 101))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    if not chance:
        return
    axes.axhline(chance, color=theme.muted, linewidth=points(1), linestyle=(0, (1, 2)))
    text = f"chance {chance:.3g} %"
    look = {"color": theme.muted, "fontsize": points(10.5), "va": "bottom", "ha": "right"}
    axes.annotate(
        text, (axes.get_xlim()[1], chance), xytext=(0, 2), textcoords="offset points", **look
    )


def draw_rate(axes: Axes, run: Run, *, theme: Theme) -> None:
    set_title(axes, "learning rate", theme=theme)
    steps, values = run.series("train/learning_rate")
    if not steps.size:
        put_nothing(axes, theme=theme)
        return
    axes.plot(steps, values, color=theme.ink, linewidth=points(1.6), marker=lone_marker(steps))
    axes.set_ylim(*padded_limits(axes))
    axes.set_yticks([0, max(values)] if max(values) > 0 else [0])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def set_title(axes: Axes, title: str, *, theme: Theme) -> None:
    axes.set_title(title, loc="left", color=theme.ink, fontsize=points(12.5), pad=7)


def put_nothing(axes: Axes, *, theme: Theme) -> None:
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(1))
    axes.tick_params(labelleft=False)
    axes.text(
        0.5,
        0.5,
        "not logged",
        color=theme.muted,
        fontsize=points(12),
        transform=axes.transAxes,
        ha="center",
    )


def smoothed(values: np.ndarray) -> np.ndarray:
    """Mean over a window of about a twentieth of the points, cut short at the ends: float [S] -> [S]."""
    half = values.size // 40
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(values.size)
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, values.size)
    return (sums[last] - sums[first]) / (last - first)


def lone_marker(steps: np.ndarray) -> str | None:
    return "o" if steps.size == 1 else None


def short_count(step: float) -> str:
    """1500 -> 1.5k, 20000 -> 20k."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(step) >= unit:
            return f"{step / unit:g}{name}"
    return f"{step:g}"
