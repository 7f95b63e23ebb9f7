"""Interpolation along time and space, for answers at every frame and pixel of a clip.

A convolution of stride s that is padded by half its kernel puts its j-th position at the s * j-th
of its input. Positions are therefore aligned at their starts, not at their centres.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.layers.style import Style

KINDS = ("linear", "hold")


def time_kind(style: Style) -> str:
    """How answers are brought to the frames of the input, an entry of KINDS: causal ones wait."""
    return "hold" if style.causal else "linear"


def weights(size: int, new_size: int) -> np.ndarray:
    """What each new position takes of each old one: float32 [new_size, size], rows sum to 1.

    The two old positions around the new one are mixed; behind the last one, it is held.
    """
    at = np.arange(new_size) / stride_between(size, new_size)  # among the old positions
    before = held(size, new_size)
    after = np.minimum(before + 1, size - 1)
    share = at - before
    matrix = np.zeros((new_size, size), np.float32)
    rows = np.arange(new_size)
    # Both old positions are the last one behind the end: their shares add up there.
    np.add.at(matrix, (rows, before), 1 - share)
    np.add.at(matrix, (rows, after), share)
    return matrix


def held(size: int, new_size: int) -> np.ndarray:
    """The last old position that is not later than each new one: int [new_size]."""
    at = np.arange(new_size) / stride_between(size, new_size)  # among the old positions
    return np.minimum(np.floor(at).astype(int), size - 1)


def stride_between(size: int, new_size: int) -> float:
    """New positions from one old position to the next.

    Strides of networks are powers of two: one that takes `new_size` positions to `size`, rounded
    up, is the stride. Where there is none, the old positions are spread evenly.
    """
    stride = 1
    while stride < 2 * new_size:
        if -(-new_size // stride) == size:
            return float(stride)
        stride *= 2
    return new_size / size


def resize_axis(x: jax.Array, axis: int, new_size: int, *, kind: str = "linear") -> jax.Array:
    """Brings one axis of x to `new_size` positions.

    "linear" interpolates between the two old positions around a new one. "hold" takes the last old
    position that is not later, so that nothing of the future is seen.
    """
    size = x.shape[axis]
    if size == new_size:
        return x
    if kind == "hold":
        # No matrix: the clip on which a stream counts its frames is very long.
        return jnp.take(x, held(size, new_size), axis=axis)
    matrix = jnp.asarray(weights(size, new_size), x.dtype)
    # HIGHEST, because accelerators would round the values to bfloat16 or TF32.
    moved = jnp.tensordot(matrix, x, axes=(1, axis), precision="highest")  # [new_size, ...]
    return jnp.moveaxis(moved, 0, axis)


def resize_clip(x: jax.Array, size: tuple[int, int, int], *, time: str = "linear") -> jax.Array:
    """[N, T, H, W, C] -> [N, T', H', W', C], linear in space and `time` in time."""
    x = resize_axis(x, 1, size[0], kind=time)
    x = resize_axis(x, 2, size[1])
    return resize_axis(x, 3, size[2])
