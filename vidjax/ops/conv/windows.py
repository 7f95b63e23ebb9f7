"""What the taps of a kernel meet in a clip: the strided slices of which im2col is made.

Each tap of a kernel meets one value of the clip for each position of the kernel: a strided slice
[N, T', H', W', C], called the tap's window here. im2col concatenates the windows of several taps in
the channels.
"""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.conv.spec import Pairs, Spec

Tap = tuple[int, int, int]


def pad(x: jax.Array, padding: Pairs, value: float = 0) -> jax.Array:
    """Pads time, height and width of [N, T, H, W, C] with a value; a negative number crops."""
    if all(pair == (0, 0) for pair in padding):
        return x
    config = [(0, 0, 0)]
    for before, after in padding:
        config.append((before, after, 0))
    config.append((0, 0, 0))
    return lax.pad(x, jnp.array(value, x.dtype), config)


def taps(kernel_shape: tuple[int, ...]) -> Iterator[Tap]:
    """Gives (i, j, k) of every tap along time, height and width, the last one fastest."""
    kt, kh, kw = kernel_shape[:3]
    return itertools.product(range(kt), range(kh), range(kw))


def axis_windows(x: jax.Array, num_taps: int, spec: Spec, *, axis: int) -> Iterator[jax.Array]:
    """Gives what each tap meets along one axis of a padded clip.

    Args:
      x: [N, T, H, W, C], padded.
      num_taps: taps of the kernel along the axis.
      spec: stride and dilation.
      axis: 0 for time, 1 for height, 2 for width.
    """
    stride, dilation = spec.stride[axis], spec.dilation[axis]
    # Where the first tap is when the kernel is at its last position.
    last_start = x.shape[axis + 1] - (num_taps - 1) * dilation - 1
    for tap in range(num_taps):
        start = tap * dilation
        yield lax.slice_in_dim(x, start, start + last_start + 1, stride, axis=axis + 1)


def windows(x: jax.Array, kernel_size: tuple[int, ...], spec: Spec) -> Iterator[jax.Array]:
    """Gives the window [N, T', H', W', C] of every tap in a padded clip, in the order of `taps`."""
    kt, kh, kw = kernel_size
    for frames in axis_windows(x, kt, spec, axis=0):
        for rows in axis_windows(frames, kh, spec, axis=1):
            yield from axis_windows(rows, kw, spec, axis=2)


def spatial_windows_by_row(
    frames: jax.Array, spec: Spec, *, kernel_size: tuple[int, int], out_size: tuple[int, int]
) -> list[list[jax.Array]]:
    """The windows of the taps in space, one list for each row of the kernel.

    Args:
      frames: one frame or several, [..., H, W, C]. They are padded here, as `spec` says.
      spec: stride, padding and dilation; the entries of time are not used.
      kernel_size: (kh, kw).
      out_size: (H', W').

    Returns:
      kh lists of kw windows [..., H', W', C].
    """
    if any(pair != (0, 0) for pair in spec.padding[1:]):
        config = [(0, 0, 0)] * (frames.ndim - 3)
        for before, after in spec.padding[1:]:
            config.append((before, after, 0))
        config.append((0, 0, 0))
        frames = lax.pad(frames, jnp.zeros((), frames.dtype), config)
    (_, stride_h, stride_w), (_, dilation_h, dilation_w) = spec.stride, spec.dilation
    (kh, kw), (out_h, out_w) = kernel_size, out_size
    rows = []
    for i in range(kh):
        start = i * dilation_h
        stop = start + stride_h * (out_h - 1) + 1
        rows.append(frames[..., start:stop:stride_h, :, :])  # [..., H', W, C]
    by_row = []
    for row in rows:
        row_windows = []
        for j in range(kw):
            start = j * dilation_w
            stop = start + stride_w * (out_w - 1) + 1
            row_windows.append(row[..., start:stop:stride_w, :])  # [..., H', W', C]
        by_row.append(row_windows)
    return by_row


def spatial_windows(
    frames: jax.Array, spec: Spec, *, kernel_size: tuple[int, int], out_size: tuple[int, int]
) -> list[jax.Array]:
    """The same windows [..., H', W', C] in one list, in the order of the taps."""
    by_row = spatial_windows_by_row(frames, spec, kernel_size=kernel_size, out_size=out_size)
    return list(itertools.chain.from_iterable(by_row))


def take_frames(frames: jax.Array, start: jax.Array, *, count: int, step: int) -> list[jax.Array]:
    """Takes `count` frames of [M, H, W, C], every `step`-th one from a traced index `start` on."""
    taken = []
    for k in range(count):
        taken.append(lax.dynamic_index_in_dim(frames, start + k * step, keepdims=False))
    return taken


def concatenate(arrays: list[jax.Array]) -> jax.Array:
    """Concatenates arrays [..., C] in the channels; a single one needs no copy."""
    if len(arrays) == 1:
        return arrays[0]
    return jnp.concatenate(arrays, axis=-1)
