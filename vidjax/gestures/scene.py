"""Where the hand is filmed: background, person, light, camera shake, noise and blur.

The background is drawn once for a clip, larger than the frame; moving the crop shakes it. The noise
of a frame is a crop of a sheet of noise. A frame is drawn at twice its size and reduced, which
smooths the edges.
"""

import colorsys
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from vidjax.gestures.hand import Look, Polygon
from vidjax.gestures.take import smooth_noise

HEIGHT = 100
ZOOM = 2  # drawn at this many times the frame's size
MARGIN = 6  # pixels by which the camera may shake
SHEET = 40  # pixels by which the noise sheet is larger than a frame
SKINS = (
    (255, 219, 188),
    (241, 194, 155),
    (224, 172, 125),
    (198, 134, 92),
    (150, 96, 62),
    (104, 66, 46),
)
HAIRS = (
    (32, 26, 24),
    (58, 40, 30),
    (92, 62, 40),
    (150, 105, 60),
    (200, 165, 105),
    (140, 70, 40),
    (150, 148, 145),
)


@dataclass(frozen=True)
class Scene:
    """All of a clip's picture but its hands.

    Args:
        width: of a frame, in pixels.
        background: RGB, ZOOM times (width + 2 MARGIN, HEIGHT + 2 MARGIN).
        look: colours of the hand, and light.
        light: RGB, width x HEIGHT; a frame is multiplied with it.
        noise: RGB around 128, larger than a frame by SHEET.
        blur: radius in pixels; 0 for none.
        shake: int [T, 2], how far the camera is moved, in pixels of the drawing.
        grain: int [T, 2], where each frame lies on the sheet of noise.
    """

    width: int
    background: Image.Image
    look: Look
    light: Image.Image
    noise: Image.Image
    blur: float
    shake: np.ndarray
    grain: np.ndarray


def _colour(rng, low=0.15, high=0.95, *, max_saturation=0.75):
    """A random colour whose value is from `low` to `high`: RGB [3] from 0 to 255."""
    hue, saturation, value = rng.uniform(), rng.uniform(0, max_saturation), rng.uniform(low, high)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255


def _ink(colour):
    """The colour as Pillow takes it."""
    return tuple(int(c) for c in np.clip(colour, 0, 255))


def _gradient(rng, size):
    ends = np.stack([_colour(rng, 0.35), _colour(rng, 0.35)])
    share = rng.uniform(size=(2, 2, 1))
    corners = ends[0] * share + ends[1] * (1 - share)
    return Image.fromarray(corners.astype(np.uint8), "RGB").resize(size, Image.Resampling.BICUBIC)


def _blobs(rng, size):
    cells = rng.integers(3, 8)
    base, spread = _colour(rng, 0.35, 0.85), rng.uniform(15, 50)
    field = base + rng.normal(size=(cells, int(cells * 1.6), 3)) * spread
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8), "RGB").resize(
        size, Image.Resampling.BICUBIC
    )


def _shapes(rng, size):
    picture = _gradient(rng, size)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(5, 16)):
        x, y = rng.uniform(-20, size[0]), rng.uniform(-20, size[1])
        w, h = rng.uniform(15, 130, size=2)
        shape = (draw.ellipse, draw.rectangle)[rng.integers(2)]
        shape((x, y, x + w, y + h), fill=_ink(_colour(rng)))
    return picture


def _stripes(rng, size):
    first, second = _colour(rng), _colour(rng)
    second = first + (second - first) * rng.uniform(0.2, 0.6)
    y, x = np.mgrid[: size[1], : size[0]]
    angle, period = rng.uniform(0, np.pi), rng.uniform(14, 60)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    if rng.uniform() < 0.4:
        wave = wave * np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period)
    share = np.clip(wave * rng.uniform(1, 6) + 0.5, 0, 1)[..., None]
    return Image.fromarray(
        (first * share + second * (1 - share)).clip(0, 255).astype(np.uint8), "RGB"
    )


def _shelf(rng, size):
    picture = Image.new("RGB", size, _ink(_colour(rng, 0.1, 0.5)))
    draw = ImageDraw.Draw(picture)
    rows = rng.integers(2, 4)
    height = size[1] / rows
    board = _ink(_colour(rng, 0.2, 0.7, max_saturation=0.5))
    for row in range(rows):
        floor, x = (row + 1) * height, 0.0
        while x < size[0]:
            w = rng.uniform(6, 24)
            if rng.uniform() < 0.85:
                draw.rectangle(
                    (x, floor - height * rng.uniform(0.5, 0.85), x + w - 1, floor),
                    fill=_ink(_colour(rng)),
                )
            x += w
        draw.rectangle((0, floor - 6, size[0], floor), fill=board)
    return picture


def _room(rng, size):
    wall = _colour(rng, 0.45, 0.95, max_saturation=0.35)
    picture = Image.new("RGB", size, _ink(wall))
    draw = ImageDraw.Draw(picture)
    floor = size[1] * rng.uniform(0.65, 0.95)
    draw.rectangle((0, floor, *size), fill=_ink(_colour(rng, 0.2, 0.6, max_saturation=0.5)))
    for _ in range(rng.integers(1, 4)):  # windows, pictures, doors
        x, y = rng.uniform(0, size[0] * 0.85), rng.uniform(-20, floor * 0.5)
        w, h = rng.uniform(40, 110), rng.uniform(40, 140)
        draw.rectangle((x, y, x + w, y + h), fill=_ink(wall * 0.6))
        draw.rectangle((x + 5, y + 5, x + w - 5, y + h - 5), fill=_ink(_colour(rng, 0.3, 1.0)))
    x, w = rng.uniform(-60, size[0]), rng.uniform(60, 160)
    draw.rounded_rectangle(
        (x, floor - 60, x + w, floor + 20), 14, fill=_ink(_colour(rng, 0.15, 0.7))
    )
    return picture


def _draw_person(rng, picture, *, skin, clothes):
    """Draws head and shoulders into the background, somewhere behind the hand."""
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    x, r = width / 2 + rng.normal() * width * 0.16, rng.uniform(26, 38)  # the head's middle, radius
    y = height * rng.uniform(0.2, 0.42)
    hair = _ink(np.array(HAIRS[rng.integers(len(HAIRS))]) * rng.uniform(0.7, 1.2))
    if rng.uniform() < 0.4:  # long hair, behind the shoulders
        draw.rounded_rectangle(
            (x - r * 1.12, y - r * 0.9, x + r * 1.12, y + r * 1.9), r * 0.8, fill=hair
        )
    draw.rectangle((x - r * 0.42, y, x + r * 0.42, y + r * 1.7), fill=_ink(skin * 0.78))
    top = y + r * 1.45
    draw.rounded_rectangle(
        (x - r * 2.3, top, x + r * 2.3, height + 80), r, fill=_ink(clothes * 0.92)
    )
    draw.ellipse((x - r * 0.5, top - r * 0.25, x + r * 0.5, top + r * 0.35), fill=_ink(skin * 0.78))
    draw.ellipse((x - r * 0.98, y - r * 1.3, x + r * 0.98, y + r * 0.7), fill=hair)
    draw.ellipse((x - r * 0.84, y - r, x + r * 0.84, y + r * 1.22), fill=_ink(skin * 0.93))
    draw.chord((x - r * 0.9, y - r * 1.22, x + r * 0.9, y + r * 0.5), 195, 345, fill=hair)
    for side in (-1, 1):
        eye = x + side * r * 0.36
        draw.ellipse((eye - 3, y - 2, eye + 3, y + 3), fill=_ink(skin * 0.25))
    draw.line(
        (x - r * 0.25, y + r * 0.72, x + r * 0.25, y + r * 0.72), fill=_ink(skin * 0.55), width=3
    )


def _draw_light(rng, size):
    """A tint and a fall-off across the frame; most clips are lit well."""
    level, fall = rng.uniform(0.8, 1.0), rng.uniform(0, 0.35)
    tint = 1 - rng.uniform(0, 0.1, size=3)
    share = rng.uniform(size=(2, 2, 1))
    share = (share - share.min()) / (np.ptp(share) + 1e-6)
    corners = 255 * level * (1 - fall * share) * tint
    return Image.fromarray(corners.astype(np.uint8), "RGB").resize(size, Image.Resampling.BICUBIC)


def draw_look(rng: np.random.Generator) -> Look:
    """Skin, sleeve and light of one person."""
    k = rng.uniform(0, len(SKINS) - 1.001)
    low, share = int(k), k % 1
    back = np.array(SKINS[low]) * (1 - share) + np.array(SKINS[low + 1]) * share
    back = back * rng.uniform(0.94, 1.03, size=3)
    palm = back * 0.80 + np.array([255, 205, 180]) * 0.20 + 4
    light = np.array([rng.uniform(-0.75, 0.75), rng.uniform(0.25, 0.8), 0.75])
    return Look(
        back=back * 0.90,
        palm=palm,
        sleeve=_colour(rng, 0.12, 0.92, max_saturation=0.8),
        cup=_colour(rng, 0.3, 1.0, max_saturation=0.8),
        cuff=rng.uniform(0.14, 0.5),
        light=light / np.linalg.norm(light),
    )


def draw_scene(rng: np.random.Generator, width: int, num_frames: int) -> Scene:
    """Draws all that does not move by itself, without knowledge of the gesture."""
    size = (ZOOM * (width + 2 * MARGIN), ZOOM * (HEIGHT + 2 * MARGIN))
    kinds = (_gradient, _blobs, _shapes, _stripes, _shelf, _room, _room)
    background = kinds[rng.integers(len(kinds))](rng, size)
    look = draw_look(rng)
    if rng.uniform() < 0.55:
        if rng.uniform() < 0.5:  # out of focus behind the person
            background = background.filter(ImageFilter.GaussianBlur(rng.uniform(1, 5)))
        _draw_person(rng, background, skin=look.back, clothes=look.sleeve)
    background = background.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))
    flat = Image.new("RGB", size, background.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)))
    background = Image.blend(background, flat, rng.uniform(0.0, 0.4))
    sheet = (HEIGHT + SHEET, width + SHEET)
    sigma = rng.uniform(0.0, 4.0)
    noise = np.clip(128 + rng.standard_normal(sheet, dtype=np.float32) * sigma, 0, 255).astype(
        np.uint8
    )
    shake = smooth_noise(rng, num_frames, 2, knots=8) * rng.uniform(0, 2.2) * ZOOM
    return Scene(
        width=width,
        background=background,
        look=look,
        light=_draw_light(rng, (width, HEIGHT)),
        noise=Image.merge("RGB", [Image.fromarray(noise)] * 3),
        blur=float(rng.uniform(0.3, 0.9)) if rng.uniform() < 0.3 else 0.0,
        shake=np.clip(np.rint(shake), -MARGIN * ZOOM, MARGIN * ZOOM).astype(int),
        grain=rng.integers(0, SHEET, size=(num_frames, 2)),
    )


def draw_frame(scene: Scene, t: int, polygons: list[Polygon]) -> Image.Image:
    """Frame t: RGB, width x HEIGHT. The polygons are in pixels of the drawing, back to front."""
    dx, dy = (scene.shake[t] + MARGIN * ZOOM).tolist()
    frame = scene.background.crop((dx, dy, dx + ZOOM * scene.width, dy + ZOOM * HEIGHT))
    pen = ImageDraw.Draw(frame)
    for points, ink in polygons:
        pen.polygon(points, fill=ink)
    frame = frame.reduce(ZOOM)
    if scene.blur:
        frame = frame.filter(ImageFilter.BoxBlur(scene.blur))
    frame = ImageChops.multiply(frame, scene.light)
    x, y = scene.grain[t].tolist()
    return ImageChops.add(frame, scene.noise.crop((x, y, x + scene.width, y + HEIGHT)), 1, -128)
