"""Augmentation on the device: flip, affine and colour, drawn once per clip and equal for all its frames.

Order: horizontal flip, affine (scale, then rotation about the centre, then translation; one resampling), brightness,
contrast, saturation, and one clamp to 0..255 at the end. Values stay on the 0..255 scale of the input, as float32, so
that `normalise` follows with or without augmentation. Every choice is a function of the clip's `draw` alone: it depends
neither on the batch, nor on the number of devices, nor on which other transformations are on.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

# One stream of random numbers each, numbered by position: append new names, or old runs draw differently.
STREAMS = (
    "flip",
    "rotate",
    "translate_x",
    "translate_y",
    "scale",
    "brightness",
    "contrast",
    "saturation",
)

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

Augment = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def normalise(
    video: jax.Array, *, mean: Sequence[float], std: Sequence[float], dtype=jnp.float32
) -> jax.Array:
    """(video / 255 - mean) / std, a value a channel, computed in float32 and returned as `dtype`.

    video [..., C]: uint8, or float on the 0..255 scale. `mean` and `std` [C] are on the 0..1 scale.
    """
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if mean.shape != std.shape or mean.shape[-1:] not in ((1,), video.shape[-1:]):
        raise ValueError(
            f"mean {mean.tolist()} and std {std.tolist()} do not fit {video.shape[-1]} channels"
        )
    gain, offset = 1 / (255 * std), mean / std
    return (video.astype(jnp.float32) * gain.astype(np.float32) - offset.astype(np.float32)).astype(
        dtype
    )


def uniforms(draw: jax.Array) -> dict[str, jax.Array]:
    """Independent numbers in [0, 1), float32 [N] for each name in STREAMS, from draw uint32 [N]."""
    stream = jnp.arange(len(STREAMS), dtype=jnp.uint32)

    def one_clip(seed):
        key = jax.random.fold_in(jax.random.key(0), seed)
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, stream)
        return jax.vmap(jax.random.uniform)(keys)

    return dict(zip(STREAMS, jax.vmap(one_clip)(draw).T, strict=True))


def affine(
    video: jax.Array, *, degrees: jax.Array, shift: jax.Array, scale: jax.Array
) -> jax.Array:
    """Scales and rotates each clip about its centre and then shifts it: [N, T, H, W, C] -> float32, same shape.

    Args:
        video: any real dtype.
        degrees: [N], counter-clockwise as seen on the screen.
        shift: [N, 2], in fractions of (width, height), to the right and down.
        scale: [N], above 1 enlarges.

    Bilinear; outside the frame the nearest pixel of the border continues.
    """
    n, t, h, w, c = video.shape
    angle = jnp.deg2rad(degrees)[:, None, None]
    scale = scale[:, None, None]
    # Inverse mapping: which input position each output pixel shows, relative to the centre.
    x = jnp.arange(w)[None, None, :] - (w - 1) / 2 - (shift[:, 0] * w)[:, None, None]
    y = jnp.arange(h)[None, :, None] - (h - 1) / 2 - (shift[:, 1] * h)[:, None, None]
    source_x = (jnp.cos(angle) * x - jnp.sin(angle) * y) / scale + (w - 1) / 2
    source_y = (jnp.sin(angle) * x + jnp.cos(angle) * y) / scale + (h - 1) / 2
    return _bilinear(video, source_y, source_x)


def _bilinear(video: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Reads video [N, T, H, W, C] at positions y, x [N, H', W'], clamped to the frame: float32 [N, T, H', W', C]."""
    n, t, h, w, c = video.shape
    out_h, out_w = y.shape[1:]
    y = jnp.clip(y, 0, h - 1).reshape(n, -1)
    x = jnp.clip(x, 0, w - 1).reshape(n, -1)
    top, left = jnp.floor(y).astype(jnp.int32), jnp.floor(x).astype(jnp.int32)
    bottom, right = jnp.minimum(top + 1, h - 1), jnp.minimum(left + 1, w - 1)
    down, along = (
        (y - top)[:, None, :, None],
        (x - left)[:, None, :, None],
    )  # weights [N, 1, H'*W', 1]
    pixels = video.reshape(n, t, h * w, c)

    def tap(row, column):
        # One index per pixel serves all frames: a gather per frame would compute the same addresses T times.
        gather = jax.vmap(lambda clip, index: clip.at[:, index].get(mode="clip"))
        return gather(pixels, row * w + column).astype(jnp.float32)

    upper = tap(top, left) * (1 - along) + tap(top, right) * along
    lower = tap(bottom, left) * (1 - along) + tap(bottom, right) * along
    return (upper * (1 - down) + lower * down).reshape(n, t, out_h, out_w, c)


def grey(video: jax.Array) -> jax.Array:
    """Brightness of each pixel: [..., C] -> [..., 1], by BT.601 for three channels, else the mean of the channels."""
    c = video.shape[-1]
    weights = LUMA if c == 3 else (1 / c,) * c
    # Not a matrix product, which accelerators round to bfloat16 or TF32; a sum over the short axis is slow on CPU.
    return sum(weight * video[..., i : i + 1] for i, weight in enumerate(weights))


def _jitter(u: jax.Array, amount: float) -> jax.Array:
    """Factors in 1 - amount .. 1 + amount, one a clip, ready to multiply a video: [N, 1, 1, 1, 1]."""
    return (1 + amount * (2 * u - 1))[:, None, None, None, None]


def make_augment(
    *,
    flip: float = 0.0,
    rotate: float = 0.0,
    translate: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    swap: Sequence[int] | None = None,
) -> Augment:
    """Builds augment(video uint8 [N, T, H, W, C], label int32 [N], draw uint32 [N]) -> (float32 video 0..255, label).

    Args:
        flip: probability of a horizontal flip.
        rotate: largest angle in degrees, either way.
        translate: largest shift in fractions of the side, either way, drawn apart for width and height.
        scale: smallest and largest magnification.
        brightness: the clip is multiplied by 1 +- brightness.
        contrast: distances from the clip's mean grey are multiplied by 1 +- contrast.
        saturation: distances from each pixel's grey are multiplied by 1 +- saturation.
        swap: int [K], the class of a flipped clip of each class; None where no class changes.

    What is off (0, or a scale of (1, 1)) costs nothing; with all off the result is the input, exactly, as float32.
    Raises ValueError for a value out of range.
    """
    _check(flip, rotate, translate, scale, brightness, contrast, saturation)
    swapped = _check_swap(swap)
    low, high = scale

    def augment(video, label, draw):
        u = uniforms(draw)
        if flip > 0:
            flipped = u["flip"] < flip
            video = jnp.where(flipped[:, None, None, None, None], video[..., ::-1, :], video)
            if swapped is not None:
                is_class = (label >= 0) & (label < len(swapped))  # what is no class stays none
                label = jnp.where(flipped & is_class, jnp.asarray(swapped)[label], label)
        if rotate > 0 or translate > 0 or (low, high) != (1, 1):
            shift = translate * (2 * jnp.stack([u["translate_x"], u["translate_y"]], axis=-1) - 1)
            magnify = low + (high - low) * u["scale"]
            video = affine(
                video, degrees=rotate * (2 * u["rotate"] - 1), shift=shift, scale=magnify
            )
        video = video.astype(jnp.float32)
        if brightness > 0:
            video = video * _jitter(u["brightness"], brightness)
        if contrast > 0:
            centre = grey(video.mean((1, 2, 3), keepdims=True))  # grey is linear
            video = centre + (video - centre) * _jitter(u["contrast"], contrast)
        if saturation > 0:
            centre = grey(video)
            video = centre + (video - centre) * _jitter(u["saturation"], saturation)
        if brightness > 0 or contrast > 0 or saturation > 0:
            video = jnp.clip(video, 0, 255)
        return video, label

    return augment


def _check(flip, rotate, translate, scale, brightness, contrast, saturation) -> None:
    if not 0 <= flip <= 1:
        raise ValueError(f"augment.flip is a probability between 0 and 1, not {flip}")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
        raise ValueError(f"augment.scale is (smallest, largest), both above 0, not {tuple(scale)}")
    amounts = {"rotate": rotate, "translate": translate}
    for name, value in amounts.items():
        if not value >= 0:
            raise ValueError(f"augment.{name} is 0 (off) or more, not {value}")
    factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    for name, value in factors.items():
        if not 0 <= value <= 1:
            raise ValueError(f"augment.{name} is between 0 (off) and 1, not {value}")


def _check_swap(swap: Sequence[int] | None) -> np.ndarray | None:
    if swap is None:
        return None
    swap = np.asarray(swap, np.int32)
    classes = np.arange(len(swap))
    in_range = ((swap >= 0) & (swap < len(swap))).all()
    if not in_range or (swap[swap] != classes).any():
        raise ValueError(
            "swap does not pair the classes: flipping twice would not give a class back"
        )
    return None if (swap == classes).all() else swap
