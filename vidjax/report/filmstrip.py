"""Filmstrips: the frames of clips with their answers at the right, for one clip or for several."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from vidjax.report.clips import MAX_FRAMES, Answer, Clip, choose_frames
from vidjax.report.png import to_png
from vidjax.report.theme import (
    CSS_DPI,
    LIGHT,
    SCALE,
    Theme,
    make_figure,
    put_heading,
    put_pixels,
    put_text,
    right_end,
    shorten,
    text_width,
)
from vidjax.report.values import rough_percent

# All lengths are in CSS pixels.
GAP = 3  # between frames
MARGIN = 20  # around everything, and between frames and answers
BAR = 130  # the length of a bar of 100 %
BAR_VALUE = 60  # room for the number behind it
BARS_HEIGHT = 122  # of the five answers of a clip
BAR_PITCH = 23  # from one answer to the next
MISTAKE_SIDE = 84  # of a frame where several clips are shown
MISTAKE_ROW = 138  # from one clip to the next
POSTER_TOP = 74  # where the frames of a poster start
FRAME_NUMBER = 22  # room for the numbers below a row of frames
MAX_NAME = 30  # characters of the name of an answer


def draw_clips(
    clips: Sequence[Clip], *, title: str, subtitle: str, synthetic: bool, theme: Theme = LIGHT
) -> bytes:
    """The PNG of several clips, one below another, each with its truth, frames and answers."""
    strip = MAX_FRAMES * (MISTAKE_SIDE + GAP)
    names = names_width(clips)
    width = MARGIN * 3 + strip + names + BAR + BAR_VALUE
    figure = make_figure(width, 84 + MISTAKE_ROW * len(clips), theme=theme)
    put_heading(figure, title, subtitle, theme=theme, synthetic=synthetic)
    for position, clip in enumerate(clips):
        y = 82 + position * MISTAKE_ROW
        put_caption(figure, clip, y + 11, strip=strip, theme=theme)
        chosen = [clip.frames[index] for index in choose_frames(len(clip.frames), MAX_FRAMES)]
        put_frames(figure, chosen, (MARGIN, y + 20), width=strip, height=MISTAKE_SIDE)
        put_bars(figure, clip, (MARGIN * 2 + strip, y + 8), names=names, theme=theme)
    return to_png(figure, title=title, synthetic=synthetic, photographs=True)


def put_caption(figure: Figure, clip: Clip, y: float, *, strip: float, theme: Theme) -> None:
    """The truth above the left end of the frames, the clip and its loss above the right end."""
    label = put_text(figure, (MARGIN, y), "true  ", size=12, color=theme.muted)
    at = (right_end(label) + 6, y)
    put_text(figure, at, shorten(clip.title, 44), size=13, color=theme.ink, weight="bold")
    at = (MARGIN + strip - GAP, y)
    put_text(figure, at, shorten(clip.note, 42), size=11, color=theme.muted, ha="right")


def draw_poster(clip: Clip, *, synthetic: bool, theme: Theme = LIGHT) -> bytes:
    """The PNG of one clip: up to sixteen numbered frames in rows of eight, and its answers."""
    chosen = choose_frames(len(clip.frames), 2 * MAX_FRAMES)
    columns = min(MAX_FRAMES, len(chosen))
    num_rows = math.ceil(len(chosen) / columns)
    side = 100
    if num_rows > 1:
        side = 92
    strip = max(columns * (side + GAP), 400)
    content = max(num_rows * (side + FRAME_NUMBER), BARS_HEIGHT)
    names = names_width([clip])
    width = MARGIN * 3 + strip + names + BAR + BAR_VALUE
    figure = make_figure(width, POSTER_TOP + content + 18, theme=theme)

    title, subtitle = shorten(clip.title, 44), clip.verdict
    if len(chosen) < len(clip.frames):
        subtitle += f"; {len(chosen)} of the clip's {len(clip.frames)} frames"
    put_heading(figure, title, subtitle, theme=theme, synthetic=synthetic)
    for row in range(num_rows):
        y = POSTER_TOP + row * (side + FRAME_NUMBER)
        part = chosen[row * columns : (row + 1) * columns]
        frames = [clip.frames[index] for index in part]
        cell = put_frames(figure, frames, (MARGIN, y), width=strip, height=side)
        for position, index in enumerate(part):
            at = (MARGIN + position * (cell + GAP) + cell / 2, y + side + 13)
            put_text(figure, at, str(index + 1), size=10, color=theme.muted, ha="center")
    middle = POSTER_TOP + (content - BARS_HEIGHT) / 2
    put_bars(figure, clip, (MARGIN * 2 + strip, middle), names=names, theme=theme)
    return to_png(figure, title=title, synthetic=synthetic, photographs=True)


def put_frames(
    figure: Figure,
    frames: Sequence[Image.Image],
    at: tuple[float, float],
    *,
    width: float,
    height: float,
) -> float:
    """Puts frames in a row and returns the width of one.

    They are as high as asked, unless the row would then be wider than `width`.
    """
    x, y = at
    ratio = frames[0].width / frames[0].height
    cell = min(height * ratio, width / len(frames) - GAP)
    size = (max(1, round(cell * SCALE)), max(1, round(cell / ratio * SCALE)))
    for position, frame in enumerate(frames):
        pixels = np.asarray(frame.resize(size, Image.Resampling.LANCZOS))
        put_pixels(figure, pixels, (x + position * (cell + GAP), y))
    return cell


def put_bars(
    figure: Figure, clip: Clip, at: tuple[float, float], *, names: float, theme: Theme
) -> None:
    """The answers of a clip: blue is true, vermilion a wrong first answer, grey the others."""
    colors = {"true": theme.right, "false": theme.wrong, "other": theme.training}
    x, y = at
    start = x + names + 9
    for rank, answer in enumerate(clip.answers):
        centre = y + 11 + rank * BAR_PITCH
        ink, weight = theme.muted, "normal"
        if rank == 0:
            ink = theme.ink
        if answer.kind == "true":
            ink, weight = theme.ink, "bold"
        look = {"size": 12, "color": ink, "va": "center_baseline"}
        name = shorten(answer.name, MAX_NAME)
        put_text(figure, (x + names, centre), name, ha="right", weight=weight, **look)
        length = bar_length(answer)
        put_bar(figure, (start, centre), length, color=colors[answer.kind])
        put_text(figure, (start + length + 6, centre), rough_percent(answer.share), **look)


def bar_length(answer: Answer) -> float:
    """The length of an answer's bar, which stays visible at 0 % and where nothing is known."""
    share = np.nan_to_num(answer.share)
    return max(1.5, BAR * float(np.clip(share, 0, 1)))


def put_bar(figure: Figure, at: tuple[float, float], length: float, *, color: str) -> None:
    """A bar that starts at x and has its middle at y."""
    width, height = figure.get_size_inches() * CSS_DPI
    x, centre = at
    corner = (x / width, 1 - (centre + 7) / height)
    bar = Rectangle(
        corner, length / width, 14 / height, facecolor=color, transform=figure.transFigure
    )
    figure.add_artist(bar)


def names_width(clips: Sequence[Clip]) -> float:
    """Room for the names in front of the bars of these clips."""
    names = []
    for clip in clips:
        names += [shorten(answer.name, MAX_NAME) for answer in clip.answers]
    return 1.1 * text_width(names, size=12)  # a bold name is a tenth wider
