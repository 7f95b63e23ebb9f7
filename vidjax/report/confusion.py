"""The confusion matrix as a picture: each row adds to 100 %, blue on the diagonal is right, vermilion off it wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidjax.report.read import Evaluation
from vidjax.report.theme import (
    LIGHT,
    SCALE,
    Theme,
    make_figure,
    mix,
    put_heading,
    put_pixels,
    put_text,
    shorten,
    text_width,
    to_png,
)

MAX_NAMED = 60  # classes; above it names would be smaller than can be read
GAMMA = 0.55  # below 1: a confusion of a few per cent must show


@dataclass(frozen=True)
class Layout:
    """Where the matrix stands, in CSS pixels; `cell` in device pixels, so that every cell is equally large."""

    cell: int
    left: float
    top: float
    side: float
    width: float
    height: float
    font: float
    names: tuple[str, ...]  # empty where there are too many classes


def lay_out(classes: tuple[str, ...]) -> Layout:
    """Cells as large as a page allows, room for the names, at least room for the heading."""
    num = len(classes)
    named = num <= MAX_NAMED
    cell = SCALE * int(np.clip(620 // num, 12, 56)) if named else max(2, 1400 // num)
    side = num * cell / SCALE
    font = float(np.clip(0.6 * cell / SCALE, 8, 13))
    names = tuple(shorten(name, 34) for name in classes) if named else ()
    room = max(74, text_width(list(names), size=font) + 10) if named else 40
    left, top = 20 + room, 88 + room
    width = max(left + side + 24, 610)
    return Layout(cell, left, top, side, width, top + side + 56, font, names)


def draw_confusion(
    evaluation: Evaluation, *, subtitle: str, synthetic: bool, theme: Theme = LIGHT
) -> bytes:
    """PNG of the row-normalised matrix [num_classes, num_classes]; a row without clips stays empty."""
    place = lay_out(evaluation.classes)
    figure = make_figure(place.width, place.height, theme=theme)
    title = "Confusion matrix"
    put_heading(figure, title, subtitle, theme=theme, synthetic=synthetic)
    shares = row_shares(evaluation.confusion)
    colors = cell_colors(shares, theme=theme)
    pixels = np.repeat(np.repeat(colors, place.cell, axis=0), place.cell, axis=1)
    if place.names:  # a hairline of paper between cells
        paper = mix(theme.paper, theme.paper, np.zeros(()))
        for start in range(place.cell - 1, pixels.shape[0], place.cell):
            pixels[start] = pixels[:, start] = paper
    put_pixels(figure, pixels, place.left, place.top)
    put_names(figure, place, theme=theme)
    if place.names and place.cell >= 20 * SCALE:
        put_values(figure, shares, colors, place)
    put_key(figure, place, theme=theme)
    return to_png(figure, title=title + (" (synthetic data)" if synthetic else ""))


def row_shares(confusion: np.ndarray) -> np.ndarray:
    """Counts int [K, K] -> share of each row float [K, K]; zeros where a row has no clip."""
    totals = confusion.sum(axis=1, keepdims=True)
    return confusion / np.maximum(totals, 1)


def cell_colors(shares: np.ndarray, *, theme: Theme) -> np.ndarray:
    """Shares float [K, K] -> uint8 [K, K, 3]."""
    amount = shares**GAMMA
    colors = mix(theme.wrong_pale, theme.wrong, amount)
    diagonal = np.eye(len(shares), dtype=bool)
    colors[diagonal] = mix(theme.right_pale, theme.right, amount[diagonal])
    colors[shares == 0] = mix(theme.empty, theme.empty, np.zeros(()))
    return colors


def put_names(figure, place: Layout, *, theme: Theme) -> None:
    """Class names, or class numbers where there are too many, at the left (true) and above (predicted)."""
    centres = (np.arange(round(place.side * SCALE / place.cell)) + 0.5) * place.cell / SCALE
    shown = [(centre, name, theme.ink) for centre, name in zip(centres, place.names, strict=False)]
    if not shown:
        stride = next(s for s in (10, 20, 50, 100, 200, 500, 1000, 10**9) if len(centres) / s <= 10)
        shown = [(centres[i], str(i), theme.muted) for i in range(0, len(centres), stride)]
    font = place.font if place.names else 11
    for centre, name, color in shown:
        look = {"size": font, "color": color}
        put_text(
            figure,
            place.left - 6,
            place.top + centre,
            name,
            ha="right",
            va="center_baseline",
            **look,
        )
        turned = (
            {"rotation": 90, "ha": "center", "va": "bottom"} if place.names else {"ha": "center"}
        )
        put_text(figure, place.left + centre, place.top - 6, name, **turned, **look)
    look = {"size": 11, "color": theme.muted}
    if place.names:  # the corner that neither rows nor columns of names reach
        put_text(figure, place.left - 6, place.top - 20, "predicted →", ha="right", **look)
        put_text(figure, place.left - 6, place.top - 5, "true ↓", ha="right", **look)
    else:
        put_text(figure, place.left, place.top - 24, "predicted → (class number)", **look)
        put_text(figure, place.left - 6, place.top - 24, "true ↓", ha="right", **look)


def put_values(figure, shares: np.ndarray, colors: np.ndarray, place: Layout) -> None:
    """Per cents in the cells that round to one or more, dark on light or light on dark."""
    step = place.cell / SCALE
    brightness = colors @ np.array([0.299, 0.587, 0.114])
    for i, j in zip(*np.nonzero(shares >= 0.005), strict=True):
        color = "#14181d" if brightness[i, j] > 140 else "#ffffff"
        x, y = place.left + (j + 0.5) * step - 0.25, place.top + (i + 0.5) * step
        text = f"{100 * shares[i, j]:.0f}"
        put_text(
            figure,
            x,
            y,
            text,
            size=min(12, 0.42 * step),
            color=color,
            ha="center",
            va="center_baseline",
        )


def put_key(figure, place: Layout, *, theme: Theme) -> None:
    """Two ramps under the matrix: what blue and vermilion mean, from 0 to 100 % of a row."""
    ramp = np.linspace(0, 1, 120 * SCALE)[None].repeat(8 * SCALE, axis=0) ** GAMMA
    y = place.top + place.side + 22
    x = min(place.left, place.width - 512)
    for name, pale, color in (
        ("right", theme.right_pale, theme.right),
        ("wrong", theme.wrong_pale, theme.wrong),
    ):
        put_text(figure, x, y + 8, f"{name}  0", size=11, color=theme.muted)
        start = x + 54
        put_pixels(figure, mix(pale, color, ramp), start, y)
        put_text(
            figure,
            start + 126,
            y + 8,
            "100 % of row" if name == "wrong" else "100 %",
            size=11,
            color=theme.muted,
        )
        x = start + 186
