"""How every picture of a report looks: colours for light and dark paper, a heading, pixels as the unit, small PNGs.

Lengths are CSS pixels; files hold twice as many, for crisp text on dense screens. Colours follow the palette of Okabe
and Ito (2008), told apart with every common colour blindness: grey is training, blue validation and right, vermilion
wrong.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin

SCALE = 2  # device pixels a CSS pixel
CSS_DPI = 100


@dataclass(frozen=True)
class Theme:
    """Colours of one paper; `empty` is a matrix cell without clips, `chip` the ground of the synthetic-data badge."""

    paper: str
    ink: str
    muted: str
    rule: str
    training: str
    right: str
    right_pale: str
    wrong: str
    wrong_pale: str
    empty: str
    chip: str
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
    return pixels * 72 / CSS_DPI


def make_figure(width: float, height: float, *, theme: Theme) -> Figure:
    """An empty Figure of width x height CSS pixels, drawn by Agg."""
    figure = Figure(
        figsize=(width / CSS_DPI, height / CSS_DPI), dpi=CSS_DPI * SCALE, facecolor=theme.paper
    )
    FigureCanvasAgg(figure)
    return figure


def put_text(figure: Figure, x: float, y: float, text: str, *, size: float, color: str, **look):
    """Text at (x, y) CSS pixels from the top left corner. A dollar sign stays one: labels are no mathematics."""
    width, height = figure.get_size_inches() * CSS_DPI
    return figure.text(
        x / width,
        1 - y / height,
        text,
        fontsize=points(size),
        color=color,
        parse_math=False,
        **look,
    )


def put_heading(
    figure: Figure, title: str, subtitle: str, *, theme: Theme, synthetic: bool, x: float = 20
) -> None:
    """Title, the badge after it where the data are synthetic, and a quieter line; takes the upper 64 pixels."""
    words = put_text(figure, x, 33, title, size=17, color=theme.ink, weight="bold")
    put_text(figure, x, 54, subtitle, size=12, color=theme.muted)
    if synthetic:
        end = text_extent(words)[0] / SCALE
        chip = {
            "boxstyle": "round,pad=0.35,rounding_size=0.5",
            "facecolor": theme.chip,
            "edgecolor": "none",
        }
        put_text(
            figure,
            end + 18,
            32,
            "synthetic data",
            size=11,
            color=theme.chip_ink,
            weight="bold",
            bbox=chip,
        )


def text_extent(words) -> tuple[float, float]:
    """Right end and width of a text, in device pixels."""
    box = words.get_window_extent(words.figure.canvas.get_renderer())
    return box.x1, box.width


def text_width(strings: list[str], *, size: float) -> float:
    """Width in CSS pixels of the widest string."""
    figure = make_figure(100, 100, theme=LIGHT)
    return (
        max(text_extent(put_text(figure, 0, 0, s, size=size, color="black"))[1] for s in strings)
        / SCALE
    )


def shorten(text: str, num_characters: int) -> str:
    """Cut in the middle: names of a family often differ at their ends only."""
    tail = num_characters // 3
    return (
        text
        if len(text) <= num_characters
        else f"{text[: num_characters - tail - 1]}…{text[-tail:]}"
    )


def mix(start: str, end: str, amount: np.ndarray) -> np.ndarray:
    """Colours between two, amount float [...] in 0..1 -> uint8 [..., 3]."""
    first, last = np.array(to_rgb(start)), np.array(to_rgb(end))
    return np.round(255 * (first + (last - first) * np.asarray(amount)[..., None])).astype(np.uint8)


def put_pixels(figure: Figure, pixels: np.ndarray, x: float, y: float) -> None:
    """uint8 [H, W, 3] with its top left corner at (x, y) CSS pixels, one value a device pixel: nothing is resampled."""
    bottom = figure.bbox.height - round(y * SCALE) - pixels.shape[0]
    figure.figimage(pixels, round(x * SCALE), round(bottom), origin="upper")


def to_png(figure: Figure, *, title: str, photographs: bool = False) -> bytes:
    """The figure as a PNG of at most 256 colours, with the title in its metadata."""
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    image = few_colors(pixels, photographs=photographs)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Title", title)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, pnginfo=info)
    return file.getvalue()


def few_colors(pixels: np.ndarray, *, photographs: bool) -> Image.Image:
    """uint8 [H, W, 3] -> palette image whose flat areas keep their exact colour; photographs are dithered."""
    # coverage, not the median cut: it keeps rare colours (a badge, one row of frames); a ninth of the pixels shows all
    sample = np.ascontiguousarray(pixels[::3, ::3])
    palette = Image.fromarray(sample).quantize(256, method=Image.Quantize.MAXCOVERAGE)
    image = Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)
    # each entry becomes the commonest colour of its pixels
    entries = np.asarray(image)[::3, ::3].astype(np.int64)
    codes, counts = np.unique(
        (entries << 24) | sample.astype(np.int64) @ [1 << 16, 1 << 8, 1], return_counts=True
    )
    colors = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    for code in codes[np.argsort(counts, kind="stable")]:
        colors[code >> 24] = [(code >> shift) & 255 for shift in (16, 8, 0)]
    image.putpalette(colors.tobytes())
    if not photographs:
        return image
    flat = np.asarray(image)
    dithered = np.asarray(
        Image.fromarray(pixels).quantize(palette=image, dither=Image.Dither.FLOYDSTEINBERG)
    )
    mixed = Image.fromarray(np.where((colors[flat] == pixels).all(-1), flat, dithered))
    mixed.putpalette(colors.tobytes())
    return mixed
