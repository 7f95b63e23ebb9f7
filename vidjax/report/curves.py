"""Training curves: loss, the task's scalars and learning rate over steps.

Each line is named where it ends. Grey is training, blue is validation.
"""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from vidjax.report.png import to_png
from vidjax.report.read import Run, Scalar
from vidjax.report.theme import LIGHT, Theme, make_figure, points, put_heading
from vidjax.report.values import PERCENT, short_count

WIDTH = 1040  # of the picture; this and all lengths below are in CSS pixels
TOP, BOTTOM = 96, 46  # room above the first row of panels, and below each
PANEL_HEIGHT = 198
ROW_HEIGHT = 290  # from one row of panels to the next
# Left edge and width of the panels of a row. The gap between two holds the names of the lines.
COLUMNS = ((52, 290), (488, 280))
NARROW_COLUMN = (918, 100)
END_GAP = 32  # between the names of two lines, which have two lines of text each

# Every loss is a cross-entropy with natural logarithms, so far.
LOSS = Scalar("loss", "loss (nats)")
RATE = "train/learning_rate"
# With more points than this, a marker at each would hide the line.
MAX_MARKED = 40


@dataclass(frozen=True)
class End:
    """The end of a line, where its name is written."""

    value: float
    name: str
    color: str


def draw_curves(run: Run, *, theme: Theme = LIGHT) -> bytes | None:
    """The PNG of the curves; None where metrics.jsonl has no finite value of any."""
    panels = (LOSS, *run.curves)
    if not is_logged(run, panels):
        return None
    num_rows = math.ceil(len(panels) / len(COLUMNS))
    height = TOP + PANEL_HEIGHT + BOTTOM + (num_rows - 1) * ROW_HEIGHT
    figure = make_figure(WIDTH, height, theme=theme)
    steps = [line["step"] for line in run.metrics]
    title = "Training curves"
    subtitle = f"{run.name}, to step {max(steps):,}"
    put_heading(figure, title, subtitle, theme=theme, synthetic=run.synthetic)

    for position, scalar in enumerate(panels):
        row, column = divmod(position, len(COLUMNS))
        axes = add_axes(figure, row, COLUMNS[column], theme=theme)
        set_steps(axes, steps, num_ticks=5)
        draw_panel(axes, run, scalar, theme=theme)

    # The learning rate takes a free place of the last row. Without one, it is narrow in the first.
    row, column = divmod(len(panels), len(COLUMNS))
    place, num_ticks = COLUMNS[column], 5
    if row == num_rows:
        row, place, num_ticks = 0, NARROW_COLUMN, 2
    axes = add_axes(figure, row, place, theme=theme)
    set_steps(axes, steps, num_ticks=num_ticks)
    draw_rate(axes, run, theme=theme)
    return to_png(figure, title=title, synthetic=run.synthetic)


def is_logged(run: Run, panels: tuple[Scalar, ...]) -> bool:
    """Whether metrics.jsonl has a finite value of anything that is drawn."""
    keys = [RATE]
    for scalar in panels:
        keys += [f"train/{scalar.name}", f"val/{scalar.name}"]
    return any(run.series(key)[0].size for key in keys)


def add_axes(figure: Figure, row: int, column: tuple[int, int], *, theme: Theme) -> Axes:
    """Empty axes in a row of panels; `column` is the left edge and the width."""
    left, width = column
    height = figure.get_size_inches()[1] / figure.get_size_inches()[0] * WIDTH
    # matplotlib counts from the bottom, rows are counted from the top.
    bottom = height - TOP - row * ROW_HEIGHT - PANEL_HEIGHT
    box = (left / WIDTH, bottom / height, width / WIDTH, PANEL_HEIGHT / height)
    axes = figure.add_axes(box, facecolor=theme.paper)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(theme.muted)
    axes.tick_params(colors=theme.muted, labelsize=points(11), length=0, pad=4)
    axes.grid(axis="y", color=theme.rule, linewidth=points(1))
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    axes.set_xlabel("step", color=theme.muted, fontsize=points(11), labelpad=3)
    return axes


def set_steps(axes: Axes, steps: list[int], *, num_ticks: int) -> None:
    """The horizontal axis: from step 0 to the last one, with short round numbers."""
    axes.set_xlim(min(0, *steps), max(1, *steps))
    axes.xaxis.set_major_locator(MaxNLocator(num_ticks, integer=True, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: short_count(step)))


def draw_panel(axes: Axes, run: Run, scalar: Scalar, *, theme: Theme) -> None:
    """One scalar: training and validation, each named with its last value."""
    scale = 1
    if scalar.unit == PERCENT:
        scale = 100
    set_title(axes, panel_title(scalar), theme=theme)
    ends = []
    steps, values = run.series(f"train/{scalar.name}")
    if steps.size:
        ends.append(plot_training(axes, steps, values * scale, theme=theme))
    steps, values = run.series(f"val/{scalar.name}")
    if steps.size:
        ends.append(plot_validation(axes, steps, values * scale, theme=theme))
    if not ends:
        put_nothing(axes, theme=theme)
        return
    axes.set_ylim(*padded_limits(axes))
    if scalar.unit == PERCENT:
        set_percent_axis(axes, 100 * scalar.chance, theme=theme)
    # The names come last, since they stand by the limits of the axis.
    name_ends(axes, ends, unit=scalar.unit)


def panel_title(scalar: Scalar) -> str:
    """The title of a panel with its unit in brackets."""
    if not scalar.unit:
        return scalar.title
    if scalar.of_clips:
        return f"{scalar.title} ({scalar.unit} of clips)"
    return f"{scalar.title} ({scalar.unit})"


def plot_training(axes: Axes, steps: np.ndarray, values: np.ndarray, *, theme: Theme) -> End:
    """The training as it was logged, pale, and smoothed: steps [S], values [S]."""
    smooth = smoothed(values)
    axes.plot(steps, values, color=theme.training, linewidth=points(1), alpha=0.35)
    axes.plot(
        steps,
        smooth,
        color=theme.training,
        linewidth=points(2),
        marker=lone_marker(steps),
    )
    return End(smooth[-1], "training", theme.training)


def plot_validation(axes: Axes, steps: np.ndarray, values: np.ndarray, *, theme: Theme) -> End:
    """The validation with a marker at each point: steps [S], values [S]."""
    marker = "o"
    if steps.size > MAX_MARKED:
        marker = None
    axes.plot(
        steps,
        values,
        color=theme.right,
        linewidth=points(2.2),
        marker=marker,
        markersize=points(5),
        clip_on=False,  # the last point lies on the edge
    )
    return End(values[-1], "validation", theme.right)


def padded_limits(axes: Axes) -> tuple[float, float]:
    """From zero, where both losses and shares end, to a little above the highest point."""
    lowest = highest = 0.0
    for line in axes.lines:
        lowest = min(lowest, float(np.min(line.get_ydata())))
        highest = max(highest, float(np.max(line.get_ydata())))
    # A line at zero all along still needs an axis of some height.
    if highest == 0:
        return lowest, 1.0
    return lowest, 1.06 * highest


def name_ends(axes: Axes, ends: list[End], *, unit: str) -> None:
    """Writes names to the right of the panel, at the height of each line's end."""
    low, high = axes.get_ylim()
    ends = sorted(ends, key=lambda end: end.value)
    heights = [(end.value - low) / (high - low) for end in ends]  # as shares of the panel
    gap = END_GAP / PANEL_HEIGHT
    if len(heights) == 2 and heights[1] - heights[0] < gap:
        # Two names that would overlap move apart, and stay within the panel.
        middle = float(np.clip(sum(heights) / 2, gap / 2, 1 - gap / 2))
        heights = [middle - gap / 2, middle + gap / 2]
    for height, end in zip(heights, ends, strict=True):
        axes.annotate(
            f"{end.name}\n{end_text(end.value, unit)}",
            (1, height),
            xycoords="axes fraction",
            xytext=(points(10), 0),
            textcoords="offset points",
            color=end.color,
            fontsize=points(12),
            fontweight="bold",
            va="center",
            linespacing=1.15,
        )


def end_text(value: float, unit: str) -> str:
    """The last value of a line; a share comes in per cent already."""
    if unit == PERCENT:
        return f"{value:.1f} %"
    return f"{value:.3g} {unit}".strip()


def set_percent_axis(axes: Axes, chance: float, *, theme: Theme) -> None:
    """Ends at 100 % at most, with a dotted line where a uniform guess would be, unless NaN."""
    top = axes.get_ylim()[1]
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    if not 0 < chance < 100:
        axes.set_ylim(0, min(top, 101))
        return
    axes.set_ylim(0, min(max(top, 1.25 * chance), 101))
    axes.axhline(chance, color=theme.muted, linewidth=points(1), linestyle=(0, (1, 2)))
    axes.annotate(
        f"chance {chance:.3g} %",
        (axes.get_xlim()[1], chance),
        xytext=(0, 2),
        textcoords="offset points",
        color=theme.muted,
        fontsize=points(10.5),
        va="bottom",
        ha="right",
    )


def draw_rate(axes: Axes, run: Run, *, theme: Theme) -> None:
    """The learning rate, with its highest value as the one number of the axis."""
    set_title(axes, "learning rate", theme=theme)
    steps, values = run.series(RATE)
    if not steps.size:
        put_nothing(axes, theme=theme)
        return
    axes.plot(steps, values, color=theme.ink, linewidth=points(1.6), marker=lone_marker(steps))
    axes.set_ylim(*padded_limits(axes))
    axes.set_yticks(sorted({0, max(values)}))  # one tick where the rate is zero throughout
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def set_title(axes: Axes, title: str, *, theme: Theme) -> None:
    """The name of a panel, above its left edge."""
    axes.set_title(
        title, loc="left", color=theme.ink, fontsize=points(12.5), pad=7, parse_math=False
    )


def put_nothing(axes: Axes, *, theme: Theme) -> None:
    """Says in an empty panel that nothing was logged."""
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
    """Mean over a window of about a twentieth of the points, cut at the ends: [S] -> [S]."""
    half = values.size // 40
    sums = np.concatenate([[0.0], np.cumsum(values)])  # [S + 1]
    index = np.arange(values.size)
    first = np.maximum(index - half, 0)
    last = np.minimum(index + half + 1, values.size)
    return (sums[last] - sums[first]) / (last - first)


def lone_marker(steps: np.ndarray) -> str | None:
    """A marker for a single point, which has no line."""
    if steps.size == 1:
        return "o"
    return None
