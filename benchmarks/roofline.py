"""The roofline: how fast each convolution is, and what matrix products and memory allow.

Williams et al., Roofline, Communications of the ACM 2009. The horizontal axis is arithmetic per
byte. The slope is the memory's ceiling, the flat part that of matrix products. The area of a point
is the convolution's share of the network's multiply-adds. A convolution whose arrays stay in a
cache from call to call can lie above the slope.
"""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from benchmarks.machine import Machine
from benchmarks.measure_convolutions import ConvolutionRow
from benchmarks.tables import torch_seconds
from vidjax.report.png import to_png
from vidjax.report.theme import LIGHT, Theme, make_figure, points, put_heading, put_text

# All lengths are CSS pixels.
WIDTH, HEADING, PANEL = 760, 64, 330
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 34, 48  # margins of a panel
AREA = 900  # square pixels of a convolution that is the whole network
LEAST_AREA = 30
TITLE = "Convolutions under the roofline"
SUBTITLE = "a point is a convolution as it is lowered here, its area its share of the multiply-adds"


def draw(rows: Sequence[ConvolutionRow], machine: Machine, *, theme: Theme = LIGHT) -> bytes | None:
    """PNG with a panel for each network, clip and precision, of forward passes; None for none."""
    panels: dict[tuple[str, str, str], list[ConvolutionRow]] = {}
    for row in rows:
        if row.step == "forward":
            panels.setdefault((row.network, row.clip, row.precision), []).append(row)
    if not panels:
        return None
    height = HEADING + PANEL * len(panels)
    figure = make_figure(WIDTH, height, theme=theme)
    put_heading(figure, TITLE, SUBTITLE, theme=theme, synthetic=False)
    for number, (names, panel) in enumerate(panels.items()):
        top = HEADING + number * PANEL
        bottom = height - top - PANEL + BOTTOM  # matplotlib counts from the bottom
        box = (
            LEFT / WIDTH,
            bottom / height,
            (WIDTH - LEFT - RIGHT) / WIDTH,
            (PANEL - TOP - BOTTOM) / height,
        )
        axes = figure.add_axes(box, facecolor=theme.paper)
        title = ", ".join(names)
        at = (LEFT, top + 24)
        put_text(figure, at, title, size=12.5, color=theme.ink, weight="bold")
        _, _, precision = names
        flat = machine.best_product(precision)
        _draw_panel(axes, panel, flat=flat, slope=machine.bytes_per_second, theme=theme)
    return to_png(figure, title=TITLE, synthetic=False)


def _draw_panel(
    axes: Axes, rows: Sequence[ConvolutionRow], *, flat: float, slope: float, theme: Theme
) -> None:
    """The convolutions of a network as "auto", "native" and PyTorch run them, under the ceilings.

    `flat` is in operations a second, `slope` in bytes a second.
    """
    intensities = [_operations(row) / row.num_bytes for row in rows]
    areas = _areas(rows)
    native = [row.seconds.get("native") for row in rows]
    torch = [torch_seconds(row) for row in rows]
    # Rings first, so that the points of vidjax lie above them.
    for label, seconds, color in (
        ("native", native, theme.training),
        ("PyTorch", torch, theme.wrong),
    ):
        _draw_rings(axes, rows, seconds, label=label, color=color)
    axes.scatter(
        intensities,
        [row.rate / 1e9 for row in rows],
        areas,
        color=theme.right,
        alpha=0.55,
        linewidths=0,
        label="vidjax",
    )
    knee = flat / slope  # where both ceilings meet
    left = min(intensities) / 2
    right = 2 * max(*intensities, knee)
    axes.plot(
        [left, knee, right],
        [left * slope / 1e9, flat / 1e9, flat / 1e9],
        color=theme.ink,
        linewidth=points(1.6),
    )
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=_limits(rows, flat))
    _set_look(axes, theme=theme)


def _draw_rings(
    axes: Axes,
    rows: Sequence[ConvolutionRow],
    seconds: Sequence[float | None],
    *,
    label: str,
    color: str,
) -> None:
    """A ring for each convolution that has a time."""
    x, y, sizes = [], [], []
    for row, area, time in zip(rows, _areas(rows), seconds, strict=True):
        if time is not None:
            x.append(_operations(row) / row.num_bytes)
            y.append(_operations(row) / time / 1e9)
            sizes.append(area)
    if x:  # else the legend would list it
        axes.scatter(x, y, sizes, edgecolors=color, facecolors="none", label=label)


def _operations(row: ConvolutionRow) -> int:
    return 2 * row.multiply_adds


def _areas(rows: Sequence[ConvolutionRow]) -> list[float]:
    """The area of each point, in matplotlib's square points."""
    total = sum(row.count * row.multiply_adds for row in rows)
    areas = []
    for row in rows:
        share = row.count * row.multiply_adds / total
        areas.append(points(1) ** 2 * max(LEAST_AREA, AREA * share))
    return areas


def _limits(rows: Sequence[ConvolutionRow], flat: float) -> tuple[float, float]:
    """From below the slowest point to above the ceiling, in GFLOP/s; a power of ten at first."""
    slowest = min(_operations(row) / max(row.seconds.values()) for row in rows) / 1e9
    fastest = max(_operations(row) / min(row.seconds.values()) for row in rows) / 1e9
    lowest = 10 ** math.floor(math.log10(slowest * 0.8))
    return lowest, 2 * max(fastest, flat / 1e9)


def _set_look(axes: Axes, *, theme: Theme) -> None:
    """Quiet axes, with names and a legend."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(theme.muted)
    axes.tick_params(which="both", colors=theme.muted, labelsize=points(11), length=0)
    axes.grid(color=theme.rule, linewidth=points(1))
    axes.set_axisbelow(True)
    axes.set_xlabel("operations a byte", color=theme.muted, fontsize=points(11))
    axes.set_ylabel("GFLOP/s", color=theme.muted, fontsize=points(11))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    # Its markers would have the areas of the first convolution otherwise.
    legend = axes.legend(
        loc="lower right", fontsize=points(11), frameon=False, labelcolor=theme.ink
    )
    for handle in legend.legend_handles:
        handle.set_sizes([40])
