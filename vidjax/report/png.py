"""Figures as small PNG files: at most 256 colours, flat areas in their exact colour."""

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin

STRIDE = 3  # colours are counted on a ninth of the pixels, which holds them all


def to_png(figure: Figure, *, title: str, synthetic: bool, photographs: bool = False) -> bytes:
    """The figure as a PNG with a title in its metadata, which says whether the data are synthetic.

    `photographs` are dithered, so that their shades show no steps.
    """
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # [H, W, 3]
    image = few_colors(pixels)
    if photographs:
        image = dithered(pixels, image)
    if synthetic:
        title += " (synthetic data)"
    metadata = PngImagePlugin.PngInfo()
    metadata.add_itxt("Title", title)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, pnginfo=metadata)
    return file.getvalue()


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG in its own pixels, from its header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def few_colors(pixels: np.ndarray) -> Image.Image:
    """uint8 [H, W, 3] -> palette image whose flat areas keep their exact colour."""
    sample = np.ascontiguousarray(pixels[::STRIDE, ::STRIDE])
    # Pillow's median cut would drop rare colours (a badge, one row of frames); this keeps them.
    palette = Image.fromarray(sample).quantize(256, method=Image.Quantize.MAXCOVERAGE)
    image = Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)

    # Pillow's entries are averages. Each becomes the commonest colour of its pixels instead:
    # entry and colour make one code, and the code that occurs most often is written last.
    entries = np.asarray(image)[::STRIDE, ::STRIDE].astype(np.int64)  # [H/3, W/3]
    sample_codes = sample.astype(np.int64) @ [1 << 16, 1 << 8, 1]  # 0xRRGGBB
    codes, counts = np.unique((entries << 24) | sample_codes, return_counts=True)
    colors = palette_colors(image)
    for code in codes[np.argsort(counts, kind="stable")]:
        colors[code >> 24] = [(code >> 16) & 255, (code >> 8) & 255, code & 255]
    image.putpalette(colors.tobytes())
    return image


def palette_colors(image: Image.Image) -> np.ndarray:
    """The palette of an image: uint8 [at most 256, 3]."""
    return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)


def dithered(pixels: np.ndarray, image: Image.Image) -> Image.Image:
    """The palette image with its shades dithered, and with the exact colours left as they are."""
    flat = np.asarray(image)
    shaded = Image.fromarray(pixels).quantize(palette=image, dither=Image.Dither.FLOYDSTEINBERG)
    colors = palette_colors(image)
    is_exact = (colors[flat] == pixels).all(-1)  # [H, W]
    mixed = Image.fromarray(np.where(is_exact, flat, np.asarray(shaded)))
    mixed.putpalette(colors.tobytes())
    return mixed
