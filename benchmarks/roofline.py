"""The roofline: how fast each convolution is, against what matrix products and memory allow at most.

Williams et al., Roofline, Communications of the ACM 2009. To the right there is more arithmetic a byte; the slope is
the memory's ceiling, the flat part that of matrix products. The area of a point is the convolution's share of the
network's multiply-adds. What stays in a cache from call to call can stand above the slope.
"""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from benchmarks.measure import ConvolutionRow
from vidjax.report.theme import LIGHT, Theme, make_figure, points, put_heading, put_text, to_png

WIDTH, HEADING, PANEL = 760, 64, 330
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 34, 48
AREA = 900  # square CSS pixels of a point that is the whole network


def draw_roofline(
    rows: Sequence[ConvolutionRow],
    *,
    products: dict[str, float],
    bytes_per_second: float,
    theme: Theme = LIGHT,
) -> bytes | None:
    """PNG with a panel for each network, clip and precision, forward passes only; None without any.

    `products` are the rates of a matrix product by precision, in operations a second.
    """
    panels: dict[tuple[str, str, str], list[ConvolutionRow]] = {}
    for row in rows:
        if row.step == "forward":
            panels.setdefault((row.network, row.clip, row.precision), []).append(row)
    if not panels:
        return None
    height = HEADING + PANEL * len(panels)
    figure = make_figure(WIDTH, height, theme=theme)
    title = "Convolutions under the roofline"
    subtitle = (
        "a point is a convolution as it is lowered here, its area its share of the multiply-adds"
    )
    put_heading(figure, title, subtitle, theme=theme, synthetic=False)
    for number, (names, found) in enumerate(panels.items()):
        top = HEADING + number * PANEL
        box = (LEFT, height - top - PANEL + BOTTOM, WIDTH - LEFT - RIGHT, PANEL - TOP - BOTTOM)
        sides = (WIDTH, height, WIDTH, height)
        axes = figure.add_axes(
            [n / side for n, side in zip(box, sides, strict=True)], facecolor=theme.paper
        )
        put_text(
            figure, LEFT, top + 24, ", ".join(names), size=12.5, color=theme.ink, weight="bold"
        )
        draw_panel(axes, found, (products[names[2]], bytes_per_second), theme=theme)
    return to_png(figure, title=title)


def draw_panel(
    axes: Axes, rows: Sequence[ConvolutionRow], ceilings: tuple[float, float], *, theme: Theme
) -> None:
    """One network: both ceilings, and its convolutions as "auto", "native" and PyTorch run them, where they did."""
    flat, bytes_per_second = ceilings
    at = [2 * row.multiply_adds / row.num_bytes for row in rows]
    total = sum(row.count * row.multiply_adds for row in rows)
    areas = [points(1) ** 2 * max(30, AREA * row.count * row.multiply_adds / total) for row in rows]
    for name, label, color in (
        ("native", "native", theme.training),
        ("PyTorch", "PyTorch", theme.wrong),
    ):
        seconds = [
            min((s for key, s in row.seconds.items() if key.startswith(name)), default=0)
            for row in rows
        ]
        drawn = [i for i, s in enumerate(seconds) if s]
        if drawn:
            heights = [2 * rows[i].multiply_adds / seconds[i] / 1e9 for i in drawn]
            sizes = [areas[i] for i in drawn]
            axes.scatter(
                [at[i] for i in drawn],
                heights,
                sizes,
                edgecolors=color,
                facecolors="none",
                label=label,
            )
    look = {"color": theme.right, "alpha": 0.55, "linewidths": 0, "label": "vidjax"}
    axes.scatter(at, [row.rate / 1e9 for row in rows], areas, **look)
    left, right = min(at) / 2, max(max(at), flat / bytes_per_second) * 2
    knee = flat / bytes_per_second
    axes.plot(
        [left, knee, right],
        [left * bytes_per_second / 1e9, flat / 1e9, flat / 1e9],
        color=theme.ink,
        linewidth=points(1.6),
    )
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=limits(rows, flat))
    set_look(axes, theme=theme)


def limits(rows: Sequence[ConvolutionRow], flat: float) -> tuple[float, float]:
    """From under the slowest point to above the ceiling, in GFLOP/s, in steps of ten."""
    slowest = min(2 * row.multiply_adds / max(row.seconds.values()) / 1e9 for row in rows)
    fastest = max(flat, *(2 * row.multiply_adds / min(row.seconds.values()) for row in rows)) / 1e9
    return 10 ** math.floor(math.log10(slowest * 0.8)), fastest * 2


def set_look(axes: Axes, *, theme: Theme) -> None:
    """Quiet axes with names and a legend."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(theme.muted)
    axes.tick_params(which="both", colors=theme.muted, labelsize=points(11), length=0)
    axes.grid(color=theme.rule, linewidth=points(1))
    axes.set_axisbelow(True)
    axes.set_xlabel("operations a byte", color=theme.muted, fontsize=points(11))
    axes.set_ylabel("GFLOP/s", color=theme.muted, fontsize=points(11))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    legend = axes.legend(
        loc="lower right", fontsize=points(11), frameon=False, labelcolor=theme.ink
    )
    for handle in legend.legend_handles:
        handle.set_sizes([40])
