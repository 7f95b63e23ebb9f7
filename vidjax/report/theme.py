"""How every picture of a report looks: colours for light and dark paper, a heading, text, pixels.

Lengths are CSS pixels; files hold twice as many, for crisp text on dense screens. Colours follow
the palette of Okabe and Ito (2008), which stays distinct with every common colour blindness: grey
is training, blue is validation and right answers, vermilion is wrong answers.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

SCALE = 2  # device pixels in a CSS pixel
CSS_DPI = 100
POINTS_PER_INCH = 72


@dataclass(frozen=True)
class Theme:
    """The colours of one paper."""

    paper: str
    ink: str
    muted: str
    rule: str
    training: str
    right: str
    right_pale: str
    wrong: str
    wrong_pale: str
    empty: str  # a cell of a matrix without clips
    chip: str  # behind the badge "synthetic data"
    chip_ink: str


LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1f24",
    muted="#5b6470",
    rule="#dde1e6",
    training="#7d8590",
    right="#0069a6",
    right_pale="#d5e6f3",
    wrong="#c24d00",
    wrong_pale="#fde6d3",
    empty="#f1f3f5",
    chip="#ffe08a",
    chip_ink="#4a3500",
)
DARK = Theme(
    paper="#161a20",
    ink="#e8ebef",
    muted="#9aa4b0",
    rule="#343b45",
    training="#9aa4b0",
    right="#56b4e9",
    right_pale="#1d3548",
    wrong="#ff8f4a",
    wrong_pale="#43301f",
    empty="#20262e",
    chip="#ffe08a",
    chip_ink="#4a3500",
)


def points(pixels: float) -> float:
    """Font size or line width in points for a length in CSS pixels."""
    return pixels * POINTS_PER_INCH / CSS_DPI


def make_figure(width: float, height: float, *, theme: Theme) -> Figure:
    """An empty Figure of width x height CSS pixels, drawn by Agg."""
    size = (width / CSS_DPI, height / CSS_DPI)
    figure = Figure(figsize=size, dpi=CSS_DPI * SCALE, facecolor=theme.paper)
    FigureCanvasAgg(figure)
    return figure


def put_text(
    figure: Figure, at: tuple[float, float], text: str, *, size: float, color: str, **look
) -> Text:
    """Text at (x, y) CSS pixels from the top left corner; `look` goes to matplotlib."""
    width, height = figure.get_size_inches() * CSS_DPI
    x, y = at
    return figure.text(
        x / width,
        1 - y / height,  # matplotlib counts from the bottom
        text,
        fontsize=points(size),
        color=color,
        parse_math=False,  # a class name may hold a dollar sign
        **look,
    )


def put_heading(
    figure: Figure, title: str, subtitle: str, *, theme: Theme, synthetic: bool
) -> None:
    """Title, a badge behind it where the data are synthetic, and a quiet line: 64 pixels high."""
    x = 20
    words = put_text(figure, (x, 33), title, size=17, color=theme.ink, weight="bold")
    put_text(figure, (x, 54), subtitle, size=12, color=theme.muted)
    if not synthetic:
        return
    chip = {
        "boxstyle": "round,pad=0.35,rounding_size=0.5",
        "facecolor": theme.chip,
        "edgecolor": "none",
    }
    put_text(
        figure,
        (right_end(words) + 18, 32),
        "synthetic data",
        size=11,
        color=theme.chip_ink,
        weight="bold",
        bbox=chip,
    )


def right_end(words: Text) -> float:
    """Where a text of a figure ends, in CSS pixels from the left edge."""
    return words.get_window_extent().x1 / SCALE


def text_width(strings: list[str], *, size: float) -> float:
    """The width in CSS pixels of the widest string; 0 without any."""
    figure = make_figure(100, 100, theme=LIGHT)
    widest = 0.0
    for string in strings:
        words = put_text(figure, (0, 0), string, size=size, color="black")
        widest = max(widest, words.get_window_extent().width / SCALE)
    return widest


def shorten(text: str, num_characters: int) -> str:
    """Cuts a long text in its middle: names of one family often differ at their ends only."""
    if len(text) <= num_characters:
        return text
    tail = num_characters // 3
    head = num_characters - tail - 1  # one character is the ellipsis
    return f"{text[:head]}…{text[-tail:]}"


def rgb(color: str) -> np.ndarray:
    """'#0069a6' -> uint8 [3]."""
    return np.round(255 * np.array(to_rgb(color))).astype(np.uint8)


def mix(start: str, end: str, amount: np.ndarray) -> np.ndarray:
    """Colours between two of them: amount float [...] in 0..1 -> uint8 [..., 3]."""
    first, last = np.array(to_rgb(start)), np.array(to_rgb(end))
    mixed = first + (last - first) * np.asarray(amount)[..., None]  # [..., 3]
    return np.round(255 * mixed).astype(np.uint8)


def put_pixels(figure: Figure, pixels: np.ndarray, at: tuple[float, float]) -> None:
    """Puts uint8 [H, W, 3] with its top left corner at (x, y) CSS pixels.

    One value becomes one device pixel: nothing is resampled.
    """
    x, y = at
    bottom = figure.bbox.height - round(y * SCALE) - pixels.shape[0]
    figure.figimage(pixels, round(x * SCALE), round(bottom), origin="upper")
