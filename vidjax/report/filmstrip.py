"""Filmstrips: a clip's frames beside its five best classes, one clip for a poster or several mistakes down a page."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from PIL import Image

from vidjax.report.read import Clip, Evaluation
from vidjax.report.theme import (
    CSS_DPI,
    LIGHT,
    SCALE,
    Theme,
    make_figure,
    put_heading,
    put_pixels,
    put_text,
    shorten,
    text_width,
    to_png,
)

MAX_FRAMES = 8  # in one row; longer clips are thinned evenly
GAP = 3  # CSS pixels between frames
BAR = 130  # a bar of 100 %
BAR_VALUE = 60  # the number after it
MARGIN = 20


def load_frames(path: Path, num_frames: int | None) -> list[Image.Image]:
    """Cut a strip (H x T*W) into frames: `num_frames` of them if that divides its width, else squares."""
    with Image.open(path) as file:
        strip = file.convert("RGB")
    count = (
        num_frames
        if num_frames and strip.width % num_frames == 0
        else max(1, round(strip.width / strip.height))
    )
    width = strip.width // count
    return [strip.crop((i * width, 0, (i + 1) * width, strip.height)) for i in range(count)]


def choose_frames(num_frames: int, limit: int) -> list[int]:
    """At most `limit` positions, evenly spread, the first and the last among them."""
    if num_frames <= limit:
        return list(range(num_frames))
    return np.round(np.linspace(0, num_frames - 1, limit)).astype(int).tolist()


def encode_strip(path: Path, num_frames: int | None, *, height: int = 160) -> bytes:
    """The strip for the page: at most eight frames on black like film, as a JPEG."""
    frames = load_frames(path, num_frames)
    frames = [frames[i] for i in choose_frames(len(frames), MAX_FRAMES)]
    height = min(height, 2 * frames[0].height)
    width = max(1, round(height * frames[0].width / frames[0].height))
    film = Image.new("RGB", (len(frames) * (width + 2) + 2, height + 4))
    for position, frame in enumerate(frames):
        film.paste(
            frame.resize((width, height), Image.Resampling.LANCZOS), (2 + position * (width + 2), 2)
        )
    file = io.BytesIO()
    film.save(file, "JPEG", quality=82, optimize=True)
    return file.getvalue()


def draw_mistakes(
    clips: list[Clip],
    evaluation: Evaluation,
    *,
    subtitle: str,
    num_frames: int | None,
    synthetic: bool,
    theme: Theme = LIGHT,
) -> bytes:
    """PNG with one row a clip: true label and frames at the left, the five best classes at the right."""
    side, row = 84, 138
    strip = MAX_FRAMES * (side + GAP)
    names = names_width(clips, evaluation.classes)
    figure = make_figure(
        MARGIN * 3 + strip + names + BAR + BAR_VALUE, 84 + row * len(clips), theme=theme
    )
    title = "Worst mistakes"
    put_heading(figure, title, subtitle, theme=theme, synthetic=synthetic)
    for position, clip in enumerate(clips):
        y = 82 + position * row
        true = put_text(figure, MARGIN, y + 11, "true  ", size=12, color=theme.muted)
        x = MARGIN + true.get_window_extent().width / SCALE
        name = shorten(evaluation.classes[clip.label], 44)
        put_text(figure, x + 6, y + 11, name, size=13, color=theme.ink, weight="bold")
        note = f"clip {shorten(clip.id, 24)}" + (
            "" if math.isnan(clip.loss) else f", loss {clip.loss:.2f}"
        )
        put_text(figure, MARGIN + strip - GAP, y + 11, note, size=11, color=theme.muted, ha="right")
        frames = load_frames(clip.strip, num_frames)
        chosen = [frames[i] for i in choose_frames(len(frames), MAX_FRAMES)]
        put_frames(figure, chosen, MARGIN, y + 20, width=strip, height=side)
        put_bars(
            figure, clip, evaluation.classes, MARGIN * 2 + strip, y + 8, names=names, theme=theme
        )
    return to_png(
        figure, title=title + (" (synthetic data)" if synthetic else ""), photographs=True
    )


def draw_poster(
    clip: Clip,
    evaluation: Evaluation,
    *,
    num_frames: int | None,
    synthetic: bool,
    theme: Theme = LIGHT,
) -> bytes:
    """PNG of one clip: up to sixteen frames in rows of eight, numbered, and its five best classes."""
    frames = load_frames(clip.strip, num_frames)
    chosen = choose_frames(len(frames), 2 * MAX_FRAMES)
    columns = min(MAX_FRAMES, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    side = 100 if rows == 1 else 92
    strip = max(columns * (side + GAP), 400)
    bottom = 86 + max(rows * (side + 22), 122)
    names = names_width([clip], evaluation.classes)
    figure = make_figure(MARGIN * 3 + strip + names + BAR + BAR_VALUE, bottom + 6, theme=theme)
    true, predicted = evaluation.classes[clip.label], evaluation.classes[clip.top5[0]]
    title = shorten(true, 44)
    verdict = f"taken for {predicted}" if clip.is_mistake else "recognised"
    subtitle = (
        f"{verdict}; {len(chosen)} of the clip's {len(frames)} frames"
        if len(chosen) < len(frames)
        else verdict
    )
    put_heading(figure, title, subtitle, theme=theme, synthetic=synthetic)
    for row in range(rows):
        part = chosen[row * columns : (row + 1) * columns]
        y = 74 + row * (side + 22)
        cell = put_frames(figure, [frames[i] for i in part], MARGIN, y, width=strip, height=side)
        for position, index in enumerate(part):
            x = MARGIN + position * (cell + GAP) + cell / 2
            put_text(
                figure, x, y + side + 13, str(index + 1), size=10, color=theme.muted, ha="center"
            )
    middle = 74 + (bottom - 86 - 122) / 2
    put_bars(figure, clip, evaluation.classes, MARGIN * 2 + strip, middle, names=names, theme=theme)
    return to_png(
        figure, title=title + (" (synthetic data)" if synthetic else ""), photographs=True
    )


def put_frames(
    figure, frames: list[Image.Image], x: float, y: float, *, width: float, height: float
) -> float:
    """Frames in a row at (x, y), as high as asked unless that makes them too wide; returns the width of one."""
    ratio = frames[0].width / frames[0].height
    cell = min(height * ratio, width / len(frames) - GAP)
    size = (max(1, round(cell * SCALE)), max(1, round(cell / ratio * SCALE)))
    for position, frame in enumerate(frames):
        pixels = np.asarray(frame.resize(size, Image.Resampling.LANCZOS))
        put_pixels(figure, pixels, x + position * (cell + GAP), y)
    return cell


def put_bars(
    figure, clip: Clip, classes: tuple[str, ...], x: float, y: float, *, names: float, theme: Theme
) -> None:
    """The five best classes in a box 115 high: blue is the true one, vermilion a wrong first, grey the others."""
    total = figure.get_size_inches() * CSS_DPI
    for rank, (index, probability) in enumerate(
        zip(clip.top5[:5], clip.probabilities, strict=False)
    ):
        centre = y + 11 + rank * 23
        color = bar_color(clip, rank, theme)
        ink = theme.ink if rank == 0 or index == clip.label else theme.muted
        look = {"weight": "bold" if index == clip.label else "normal", "va": "center_baseline"}
        put_text(
            figure,
            x + names,
            centre,
            bar_name(classes[index]),
            size=12,
            color=ink,
            ha="right",
            **look,
        )
        length = max(1.5, BAR * min(1.0, max(0.0, np.nan_to_num(probability))))
        box = ((x + names + 9) / total[0], 1 - (centre + 7) / total[1])
        bar = Rectangle(
            box, length / total[0], 14 / total[1], facecolor=color, transform=figure.transFigure
        )
        figure.add_artist(bar)
        put_text(
            figure,
            x + names + 15 + length,
            centre,
            show_share(probability),
            size=12,
            color=ink,
            va="center_baseline",
        )


def bar_name(name: str) -> str:
    return shorten(name, 30)


def names_width(clips: list[Clip], classes: tuple[str, ...]) -> float:
    """Room for the names beside the bars of these clips, in CSS pixels."""
    # the true one is bold, a tenth wider
    return 1.1 * text_width(
        [bar_name(classes[index]) for clip in clips for index in clip.top5[:5]], size=12
    )


def show_share(probability: float) -> str:
    if math.isnan(probability):
        return "–"
    return "< 1 %" if 0 < probability < 0.005 else f"{100 * probability:.0f} %"


def bar_color(clip: Clip, rank: int, theme: Theme) -> str:
    if clip.top5[rank] == clip.label:
        return theme.right
    return theme.wrong if rank == 0 else theme.training
