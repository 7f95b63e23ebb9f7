"""Augmentation on the device: flip, affine and colour, drawn per clip and equal for all frames.

The order is: horizontal flip, affine (scale, then rotation about the centre, then translation, in
one resampling), brightness, contrast, saturation, and one clamp to 0..255 at the end. Values stay
on the 0..255 scale of the input, as float32, so that `normalise` follows with or without
augmentation. Every choice is a function of the clip's `draw` alone: it depends neither on the
batch, nor on the number of devices, nor on which other transformations are on.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import UserError

# Each name has a stream of random numbers, numbered by its position here: append new names at the
# end, or runs that were begun before would draw differently.
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

FLOW_ZERO = 128.0  # the value of optical flow where nothing moves
LUMA = (0.299, 0.587, 0.114)  # the weights of R, G and B in brightness, ITU-R BT.601

Batch = dict[str, jax.Array]  # "video" uint8 [N, T, H, W, C], "label" [N, ...], "draw" uint32 [N]
Augment = Callable[[Batch], Batch]
# (label [N, ...], whether the clip is mirrored bool [N]) -> label
FlipLabel = Callable[[jax.Array, jax.Array], jax.Array]


class Moves(NamedTuple):
    """How the pictures of a batch are moved, for labels that say where something is.

    A flip comes first, then the scale, the rotation about the centre and the shift, as in `affine`.
    """

    flipped: jax.Array  # bool [N]
    degrees: jax.Array  # [N], counter-clockwise on the screen
    shift: jax.Array  # [N, 2], in fractions of width and height
    scale: jax.Array  # [N]


# (label [N, ...], Moves) -> label
MoveLabel = Callable[[jax.Array, Moves], jax.Array]


def normalise(
    video: jax.Array, *, mean: Sequence[float], std: Sequence[float], dtype=jnp.float32
) -> jax.Array:
    """(video / 255 - mean) / std for each channel, computed in float32 and returned as `dtype`.

    video [..., C] is uint8, or float on the 0..255 scale; `mean` and `std` [C] are on the 0..1
    scale. Raises UserError for another number of channels.
    """
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if mean.shape != std.shape or mean.shape[-1:] not in ((1,), video.shape[-1:]):
        raise UserError(
            f"config.data.mean {mean.tolist()} and config.data.std {std.tolist()} do not fit "
            f"{video.shape[-1]} channels."
        )
    gain, offset = 1 / (255 * std), mean / std
    scaled = video.astype(jnp.float32) * gain.astype(np.float32)
    return (scaled - offset.astype(np.float32)).astype(dtype)


def uniforms(draw: jax.Array) -> dict[str, jax.Array]:
    """Independent numbers in [0, 1), float32 [N] for each name in STREAMS, from draw uint32 [N]."""
    stream = jnp.arange(len(STREAMS), dtype=jnp.uint32)

    def one_clip(seed):
        key = jax.random.fold_in(jax.random.key(0), seed)
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, stream)
        return jax.vmap(jax.random.uniform)(keys)

    numbers = jax.vmap(one_clip)(draw)  # [N, streams]
    return dict(zip(STREAMS, numbers.T, strict=True))


def affine(
    video: jax.Array, *, degrees: jax.Array, shift: jax.Array, scale: jax.Array
) -> jax.Array:
    """Scales and rotates each clip about its centre and then shifts it.

    Args:
        video: [N, T, H, W, C], any real dtype.
        degrees: [N], counter-clockwise as seen on the screen.
        shift: [N, 2], in fractions of (width, height), to the right and down.
        scale: [N], above 1 enlarges.

    Returns float32 of the same shape. Sampling is bilinear; outside the frame the nearest pixel of
    the border continues.
    """
    y, x = _source_positions(video.shape[2:4], degrees=degrees, shift=shift, scale=scale)
    return _bilinear(video, y, x)


def affine_of_classes(
    label: jax.Array, *, degrees: jax.Array, shift: jax.Array, scale: jax.Array
) -> jax.Array:
    """The same for class indices, int [N, T, H, W], each taken from the nearest pixel."""
    n, t, height, width = label.shape
    y, x = _source_positions((height, width), degrees=degrees, shift=shift, scale=scale)
    row = jnp.clip(jnp.round(y), 0, height - 1).astype(jnp.int32)  # [N, H, W]
    column = jnp.clip(jnp.round(x), 0, width - 1).astype(jnp.int32)
    places = (row * width + column).reshape(n, -1)
    gather = jax.vmap(lambda clip, index: clip.at[:, index].get(mode="clip"))
    return gather(label.reshape(n, t, -1), places).reshape(label.shape)


def affine_of_points(points: jax.Array, moves: Moves, *, size: int) -> jax.Array:
    """Where points of a square picture go, flip included: [N, ..., 2] (x, y) -> the same shape.

    Coordinates are in pixels, 0 at the left or upper border and `size` at the other.
    """
    more = (1,) * (points.ndim - 2)  # axes between the clips and the two coordinates
    flipped = moves.flipped.reshape(-1, *more)
    x = jnp.where(flipped, size - points[..., 0], points[..., 0]) - size / 2
    y = points[..., 1] - size / 2
    angle = jnp.deg2rad(moves.degrees).reshape(-1, *more)
    scale = moves.scale.reshape(-1, *more)
    # The forward mapping, the inverse of that in `_source_positions`.
    new_x = scale * (jnp.cos(angle) * x + jnp.sin(angle) * y)
    new_y = scale * (jnp.cos(angle) * y - jnp.sin(angle) * x)
    shift = moves.shift.reshape(-1, *more, 2) * size
    return jnp.stack([new_x, new_y], axis=-1) + shift + size / 2


def moved_flow(flow: jax.Array, moves: Moves) -> jax.Array:
    """Optical flow that moves with its pictures: its places and the directions of its vectors.

    flow [N, T, H, W, 2 * fields], x and y of each field in turn, 128 for no motion. Returns
    float32 of the same shape and scale.
    """
    flipped = moves.flipped[:, None, None, None, None]
    flow = jnp.where(flipped, flow[..., ::-1, :], flow)
    flow = affine(flow, degrees=moves.degrees, shift=moves.shift, scale=moves.scale)
    # Pictures and vectors are scaled and rotated alike; a mirror image moves the other way along x.
    x = (flow[..., 0::2] - FLOW_ZERO) * jnp.where(flipped, -1, 1)
    y = flow[..., 1::2] - FLOW_ZERO
    angle = jnp.deg2rad(moves.degrees)[:, None, None, None, None]
    scale = moves.scale[:, None, None, None, None]
    new_x = scale * (jnp.cos(angle) * x + jnp.sin(angle) * y)
    new_y = scale * (jnp.cos(angle) * y - jnp.sin(angle) * x)
    vectors = jnp.stack([new_x, new_y], axis=-1)  # [N, T, H, W, fields, 2]
    return jnp.clip(vectors.reshape(flow.shape) + FLOW_ZERO, 0, 255)


def _source_positions(size, *, degrees, shift, scale):
    """(y, x), each [N, H, W]: the input position, in pixels, that each output pixel shows."""
    height, width = size
    angle = jnp.deg2rad(degrees)[:, None, None]
    scale = scale[:, None, None]
    # The inverse mapping: which input position, relative to the centre, each output pixel shows.
    x = jnp.arange(width)[None, None, :] - (width - 1) / 2 - (shift[:, 0] * width)[:, None, None]
    y = jnp.arange(height)[None, :, None] - (height - 1) / 2 - (shift[:, 1] * height)[:, None, None]
    source_x = (jnp.cos(angle) * x - jnp.sin(angle) * y) / scale + (width - 1) / 2
    source_y = (jnp.sin(angle) * x + jnp.cos(angle) * y) / scale + (height - 1) / 2
    return source_y, source_x


def _bilinear(video: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Samples video [N, T, H, W, C] at positions y, x [N, H', W'], clamped to the frame.

    Returns float32 [N, T, H', W', C].
    """
    n, t, h, w, c = video.shape
    out_h, out_w = y.shape[1:]
    y = jnp.clip(y, 0, h - 1).reshape(n, -1)
    x = jnp.clip(x, 0, w - 1).reshape(n, -1)
    top, left = jnp.floor(y).astype(jnp.int32), jnp.floor(x).astype(jnp.int32)
    bottom, right = jnp.minimum(top + 1, h - 1), jnp.minimum(left + 1, w - 1)
    # the weights of the lower and of the right pixel, [N, 1, H'*W', 1]
    weight_bottom = (y - top)[:, None, :, None]
    weight_right = (x - left)[:, None, :, None]
    pixels = video.reshape(n, t, h * w, c)

    def sample(row, column):
        # One index per pixel serves all frames: a gather per frame would compute the same
        # addresses T times.
        gather = jax.vmap(lambda clip, index: clip.at[:, index].get(mode="clip"))
        return gather(pixels, row * w + column).astype(jnp.float32)

    upper = sample(top, left) * (1 - weight_right) + sample(top, right) * weight_right
    lower = sample(bottom, left) * (1 - weight_right) + sample(bottom, right) * weight_right
    blended = upper * (1 - weight_bottom) + lower * weight_bottom
    return blended.reshape(n, t, out_h, out_w, c)


def grey(video: jax.Array) -> jax.Array:
    """The brightness of each pixel: [..., C] -> [..., 1].

    By BT.601 for three channels, and the mean of the channels for any other number.
    """
    num_channels = video.shape[-1]
    weights = (1 / num_channels,) * num_channels
    if num_channels == len(LUMA):
        weights = LUMA
    # Not a matrix product, which accelerators round to bfloat16 or TF32; and not `sum` over the
    # channels, which is slow on a CPU for so short an axis.
    total = 0
    for index, weight in enumerate(weights):
        total = total + weight * video[..., index : index + 1]
    return total


def make_augment(
    *,
    flip: float = 0.0,
    rotate: float = 0.0,
    translate: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    flip_label: FlipLabel | None = None,
    move_label: MoveLabel | None = None,
) -> Augment:
    """Builds augment(batch) -> batch, with the video as float32 on the 0..255 scale.

    Args:
        flip: probability of a horizontal flip.
        rotate: largest angle in degrees, either way.
        translate: largest shift in fractions of the side, either way, drawn separately for width
            and height.
        scale: smallest and largest magnification.
        brightness: the clip is multiplied by 1 +- brightness.
        contrast: distances from the clip's mean grey are multiplied by 1 +- contrast.
        saturation: distances from each pixel's grey are multiplied by 1 +- saturation.
        flip_label: what becomes of the labels of mirrored clips; None where they stay.
        move_label: what becomes of labels that say where something is; None where they do not.

    What is off (0, or a scale of (1, 1)) costs nothing. With all off the video is the input,
    exactly, as float32. Raises UserError for a value out of range.
    """
    _check_geometry(flip=flip, rotate=rotate, translate=translate, scale=scale)
    _check_colour(brightness=brightness, contrast=contrast, saturation=saturation)
    moves = rotate > 0 or translate > 0 or tuple(scale) != (1, 1)
    low, high = scale

    def augment(batch):
        video, label, u = batch["video"], batch["label"], uniforms(batch["draw"])
        sideways = jnp.stack([u["translate_x"], u["translate_y"]], axis=-1)  # [N, 2]
        move = Moves(
            flipped=u["flip"] < flip,
            degrees=rotate * (2 * u["rotate"] - 1),
            shift=translate * (2 * sideways - 1),
            scale=low + (high - low) * u["scale"],
        )
        if flip > 0:
            flipped = move.flipped[:, None, None, None, None]
            video = jnp.where(flipped, video[..., ::-1, :], video)
            if flip_label is not None:
                label = flip_label(label, move.flipped)
        if moves:
            video = affine(video, degrees=move.degrees, shift=move.shift, scale=move.scale)
        if move_label is not None and (flip > 0 or moves):
            label = move_label(label, move)
        if "flow" in batch and (flip > 0 or moves):
            batch = {**batch, "flow": moved_flow(batch["flow"], move)}
        video = video.astype(jnp.float32)
        if brightness > 0:
            video = video * _jitter(u["brightness"], brightness)
        if contrast > 0:
            centre = grey(video.mean((1, 2, 3), keepdims=True))  # of the mean, as grey is linear
            video = centre + (video - centre) * _jitter(u["contrast"], contrast)
        if saturation > 0:
            centre = grey(video)
            video = centre + (video - centre) * _jitter(u["saturation"], saturation)
        if brightness > 0 or contrast > 0 or saturation > 0:
            video = jnp.clip(video, 0, 255)
        return {**batch, "video": video, "label": label}

    return augment


def _jitter(u: jax.Array, amount: float) -> jax.Array:
    """Factors in 1 - amount .. 1 + amount, one a clip: [N] -> [N, 1, 1, 1, 1]."""
    return (1 + amount * (2 * u - 1))[:, None, None, None, None]


def _check_geometry(
    *, flip: float, rotate: float, translate: float, scale: tuple[float, float]
) -> None:
    if not 0 <= flip <= 1:
        raise UserError(f"config.augment.flip is {flip}; it is a probability between 0 and 1.")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
        raise UserError(
            f"config.augment.scale is {tuple(scale)}; it is (smallest, largest), both above 0."
        )
    for name, value in (("rotate", rotate), ("translate", translate)):
        if not 0 <= value < math.inf:
            raise UserError(f"config.augment.{name} is {value}; it is 0 (off) or more.")


def _check_colour(**factors: float) -> None:
    for name, value in factors.items():
        if not 0 <= value <= 1:
            raise UserError(f"config.augment.{name} is {value}; it is between 0 (off) and 1.")
