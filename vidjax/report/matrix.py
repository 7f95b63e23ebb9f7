"""The confusion matrix as a picture.

Each row adds up to 100 %. Blue on the diagonal is right, vermilion off the diagonal is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from vidjax.report.png import to_png
from vidjax.report.theme import (
    LIGHT,
    SCALE,
    Theme,
    make_figure,
    mix,
    put_heading,
    put_pixels,
    put_text,
    rgb,
    shorten,
    text_width,
)

MAX_NAMED = 60  # with more classes than this, names would be smaller than can be read
MIN_VALUE_CELL = 20  # CSS pixels: a number in a smaller cell could not be read
MIN_VALUE = 0.005  # a smaller share would be written as 0
GAMMA = 0.55  # below 1, so that a confusion of a few per cent shows
LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in brightness (ITU-R BT.601)
MAX_NUMBERS = 10  # class numbers at an axis without names


@dataclass(frozen=True)
class Layout:
    """Where the matrix stands, in CSS pixels."""

    cell: int  # in device pixels, so that every cell is equally large
    left: float
    top: float
    side: float
    width: float
    height: float
    font: float
    names: tuple[str, ...]  # empty where there are too many classes

    @property
    def step(self) -> float:
        """The side of a cell in CSS pixels."""
        return self.cell / SCALE


def lay_out(classes: Sequence[str]) -> Layout:
    """Cells as large as a page allows, with room for the names and at least for the heading."""
    num = len(classes)
    if num <= MAX_NAMED:
        cell = SCALE * int(np.clip(620 // num, 12, 56))
        font = float(np.clip(0.6 * cell / SCALE, 8, 13))
        names = tuple(shorten(name, 34) for name in classes)
        room = max(74, text_width(list(names), size=font) + 10)
    else:
        cell = max(2, 1400 // num)
        font = 11.0
        names = ()
        room = 40
    side = num * cell / SCALE
    left, top = 20 + room, 88 + room
    return Layout(
        cell=cell,
        left=left,
        top=top,
        side=side,
        width=max(left + side + 24, 610),
        height=top + side + 56,
        font=font,
        names=names,
    )


def draw_matrix(
    counts: np.ndarray,
    classes: Sequence[str],
    *,
    title: str,
    subtitle: str,
    synthetic: bool,
    theme: Theme = LIGHT,
) -> bytes:
    """The PNG of a confusion matrix; the row of a class without clips stays empty.

    Args:
        counts: int [K, K], row = true class, column = predicted class.
        classes: the K names.
        title: the heading.
        subtitle: the quiet line below it.
        synthetic: whether a badge says that the data are synthetic.
        theme: the colours.
    """
    layout = lay_out(classes)
    figure = make_figure(layout.width, layout.height, theme=theme)
    put_heading(figure, title, subtitle, theme=theme, synthetic=synthetic)
    shares = row_shares(counts)
    colors = cell_colors(shares, theme=theme)
    put_pixels(figure, cell_pixels(colors, layout, theme=theme), (layout.left, layout.top))
    if layout.names:
        put_names(figure, layout, theme=theme)
    else:
        put_numbers(figure, layout, len(classes), theme=theme)
    if layout.names and layout.step >= MIN_VALUE_CELL:
        put_values(figure, shares, colors, layout=layout)
    put_key(figure, layout, theme=theme)
    return to_png(figure, title=title, synthetic=synthetic)


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Counts int [K, K] -> the share of each row float [K, K]; zeros where a row has no clip."""
    totals = counts.sum(axis=1, keepdims=True)
    return counts / np.maximum(totals, 1)


def cell_colors(shares: np.ndarray, *, theme: Theme) -> np.ndarray:
    """Shares float [K, K] -> uint8 [K, K, 3]."""
    amount = shares**GAMMA
    colors = mix(theme.wrong_pale, theme.wrong, amount)
    diagonal = np.eye(len(shares), dtype=bool)
    colors[diagonal] = mix(theme.right_pale, theme.right, amount[diagonal])
    colors[shares == 0] = rgb(theme.empty)
    return colors


def cell_pixels(colors: np.ndarray, layout: Layout, *, theme: Theme) -> np.ndarray:
    """Colours uint8 [K, K, 3] -> device pixels uint8 [K * cell, K * cell, 3]."""
    pixels = colors.repeat(layout.cell, axis=0).repeat(layout.cell, axis=1)
    if layout.names:
        # A hairline of paper parts the cells. Cells without names are too small for one.
        for edge in range(layout.cell - 1, pixels.shape[0], layout.cell):
            pixels[edge] = pixels[:, edge] = rgb(theme.paper)
    return pixels


def put_names(figure: Figure, layout: Layout, *, theme: Theme) -> None:
    """Class names at the left (true) and above (predicted)."""
    for index, name in enumerate(layout.names):
        centre = (index + 0.5) * layout.step
        at_left = (layout.left - 6, layout.top + centre)
        above = (layout.left + centre, layout.top - 6)
        look = {"size": layout.font, "color": theme.ink}
        put_text(figure, at_left, name, ha="right", va="center_baseline", **look)
        put_text(figure, above, name, rotation=90, ha="center", va="bottom", **look)
    # The corner that the names of neither rows nor columns enter.
    look = {"size": 11, "color": theme.muted, "ha": "right"}
    put_text(figure, (layout.left - 6, layout.top - 20), "predicted →", **look)
    put_text(figure, (layout.left - 6, layout.top - 5), "true ↓", **look)


def put_numbers(figure: Figure, layout: Layout, num_classes: int, *, theme: Theme) -> None:
    """Some class numbers in place of names."""
    look = {"size": layout.font, "color": theme.muted}
    for index in range(0, num_classes, number_stride(num_classes)):
        centre = (index + 0.5) * layout.step
        at_left = (layout.left - 6, layout.top + centre)
        above = (layout.left + centre, layout.top - 6)
        put_text(figure, at_left, str(index), ha="right", va="center_baseline", **look)
        put_text(figure, above, str(index), ha="center", **look)
    y = layout.top - 24
    put_text(figure, (layout.left, y), "predicted → (class number)", **look)
    put_text(figure, (layout.left - 6, y), "true ↓", ha="right", **look)


def number_stride(num_classes: int) -> int:
    """The least round stride with which at most MAX_NUMBERS class numbers are written."""
    power = 10
    while True:
        for stride in (power, 2 * power, 5 * power):
            if num_classes <= MAX_NUMBERS * stride:
                return stride
        power *= 10


def put_values(figure: Figure, shares: np.ndarray, colors: np.ndarray, *, layout: Layout) -> None:
    """Per cents in the cells that round to 1 or more, dark on light or light on dark."""
    brightness = colors @ np.array(LUMA)  # [K, K]
    for row, column in zip(*np.nonzero(shares >= MIN_VALUE), strict=True):
        if brightness[row, column] > 140:
            color = "#14181d"
        else:
            color = "#ffffff"
        x = layout.left + (column + 0.5) * layout.step - 0.25  # half of the hairline
        y = layout.top + (row + 0.5) * layout.step
        put_text(
            figure,
            (x, y),
            f"{100 * shares[row, column]:.0f}",
            size=min(12, 0.42 * layout.step),
            color=color,
            ha="center",
            va="center_baseline",
        )


def put_key(figure: Figure, layout: Layout, *, theme: Theme) -> None:
    """Two ramps under the matrix: what blue and vermilion mean, from 0 to 100 % of a row."""
    ramp = np.linspace(0, 1, 120 * SCALE)[None].repeat(8 * SCALE, axis=0) ** GAMMA  # [H, W]
    right = mix(theme.right_pale, theme.right, ramp)
    wrong = mix(theme.wrong_pale, theme.wrong, ramp)
    x = min(layout.left, layout.width - 512)
    y = layout.top + layout.side + 22
    for name, pixels, end in (("right", right, "100 %"), ("wrong", wrong, "100 % of row")):
        put_text(figure, (x, y + 8), f"{name}  0", size=11, color=theme.muted)
        put_pixels(figure, pixels, (x + 54, y))
        put_text(figure, (x + 180, y + 8), end, size=11, color=theme.muted)
        x += 240
