"""The gradient of a kernel on a CPU, as a sum of matrix products whose operands fit the cache.

Automatic differentiation gives a convolution whose window is as large as a frame, which compilers
are slow at on a CPU. Here the gradient of a tap is the product, summed over positions, of the tap's
window of the clip and dy.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.conv.matmul import fits_at_once, sum_over_positions
from vidjax.ops.conv.spec import Spec, is_pointwise
from vidjax.ops.conv.windows import (
    axis_windows,
    concatenate,
    pad,
    spatial_windows,
    spatial_windows_by_row,
    take_frames,
)

# At or above this many values (kw * C), the windows of one row of the kernel are wide enough for a
# matrix product of their own. Below it, the windows of all rows share one.
ROW_MIN_WIDTH = 128


def by_windows(
    x: jax.Array, dy: jax.Array, spec: Spec, *, kernel_shape: tuple[int, ...]
) -> jax.Array:
    """Computes dL/dkernel, in float32.

    Args:
      x: the clip [N, T, H, W, C].
      dy: the gradient of the output [N, T', H', W', F].
      spec: how the kernel moves.
      kernel_shape: [kt, kh, kw, C / groups, F], which is the shape of the result, too.
    """
    if spec.groups > 1:
        return _grouped(x, dy, spec, kernel_shape=kernel_shape)
    if is_pointwise(kernel_shape, spec):
        step_t, step_h, step_w = spec.stride
        met = x[:, ::step_t, ::step_h, ::step_w]
        return sum_over_positions(met, dy).reshape(kernel_shape)
    return _by_time_phase(x, dy, spec, kernel_shape=kernel_shape)


# Depthwise and grouped kernels -------------------------------------------------------------------


def _grouped(x, dy, spec, *, kernel_shape):
    """A sum over positions for each tap; large clips are gathered frame by frame."""
    kt, kh, kw, channels, features = kernel_shape
    n, out_t, out_h, out_w = dy.shape[:4]
    x = pad(x, (spec.padding[0], (0, 0), (0, 0)))

    def all_taps(frames, dy):
        """kt arrays [..., H, W, C] and dy [..., H', W', F] -> [kt * kh * kw, C / groups, F]."""
        met = []
        for frame in frames:
            met += spatial_windows(frame, spec, kernel_size=(kh, kw), out_size=(out_h, out_w))
        return jnp.stack([_grouped_tap(window, dy, spec.groups) for window in met])

    if fits_at_once(kt * kh * kw * dy.size):
        frames = list(axis_windows(x, kt, spec, axis=0))
        return all_taps(frames, dy).reshape(kernel_shape)

    padded_t = x.shape[1]
    frames = x.reshape(-1, *x.shape[2:])  # [N * padded T, H, W, C]
    dy_frames = dy.reshape(-1, out_h, out_w, features)  # [N*T', H', W', F]

    def add_frame(index, total):
        start = index // out_t * padded_t + index % out_t * spec.stride[0]
        met = take_frames(frames, start, count=kt, step=spec.dilation[0])
        dy_frame = lax.dynamic_index_in_dim(dy_frames, index, keepdims=False)
        return total + all_taps(met, dy_frame)

    zeros = jnp.zeros((kt * kh * kw, channels, features), jnp.float32)
    return lax.fori_loop(0, n * out_t, add_frame, zeros).reshape(kernel_shape)


def _grouped_tap(window, dy, groups):
    """Sums over positions within each group: [..., C] and [..., F] -> [C / groups, F]."""
    channels = window.shape[-1] // groups
    features = dy.shape[-1] // groups
    if channels == 1:
        if features > 1:
            window = jnp.repeat(window, features, axis=-1)
        products = window.astype(jnp.float32) * dy.astype(jnp.float32)
        positions = tuple(range(products.ndim - 1))
        return products.sum(positions)[None]
    window = window.reshape(-1, groups, channels)
    dy = dy.reshape(-1, groups, features)
    total = jnp.einsum("mgc,mgf->cgf", window, dy, preferred_element_type=jnp.float32)
    return total.reshape(channels, groups * features)


# All other kernels -------------------------------------------------------------------------------


class _TimePhase(NamedTuple):
    """The taps in time that meet one phase of a strided clip, and the frames that they meet.

    Frame q of the phase is frame q * stride + offset of the clip. Tap k meets it on the way to
    frame q - delay of dy.
    """

    first: int  # q of the first frame
    end: int  # q behind the last one
    offset: int
    delays: list[int]  # one for each of the taps


def _by_time_phase(x, dy, spec, *, kernel_shape):
    """The gradients of the taps in time, for one phase of the stride in time after the other."""
    kt, features, stride = kernel_shape[0], kernel_shape[4], spec.stride[0]
    before, dilation = spec.padding[0][0], spec.dilation[0]
    # Taps that meet nothing but padding keep zeros.
    gradients = [jnp.zeros(kernel_shape[1:], jnp.float32)] * kt  # [kh, kw, C, F] each
    for phase in range(stride):
        taps_of_phase = [k for k in range(kt) if k * dilation % stride == phase]
        if not taps_of_phase:
            continue
        delays = [k * dilation // stride for k in taps_of_phase]
        # Only frames of the clip itself: those of the padding add nothing.
        first = max(0, -(-(before - phase) // stride))
        end = min(-(-(x.shape[1] + before - phase) // stride), dy.shape[1] + max(delays))
        if end <= first:
            continue
        time_phase = _TimePhase(first, end, phase - before, delays)
        total = _sum_over_frames(x, dy, spec, kernel_shape=kernel_shape, phase=time_phase)
        for number, k in enumerate(taps_of_phase):
            gradients[k] = total[..., number * features : (number + 1) * features]
    return jnp.stack(gradients)


def _sum_over_frames(x, dy, spec, *, kernel_shape, phase):
    """The gradients of all taps of a phase, with the taps in time as columns.

    Each frame of x is gathered once, and meets the frames of dy of all taps in time, concatenated
    in the channels. Returns [kh, kw, C, taps in time * F].
    """
    kh, kw, channels, features = kernel_shape[1:]
    stride = spec.stride[0]
    out_t, *out_size = dy.shape[1:4]
    # Frames of dy before its first and after its last are zeros.
    before = max(0, max(phase.delays) - phase.first)
    after = max(0, phase.end - min(phase.delays) - out_t)
    config = [(0, 0, 0), (before, after, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)]
    dy = lax.pad(dy, jnp.zeros((), dy.dtype), config)

    num_frames = phase.end - phase.first
    num_positions = x.shape[0] * num_frames * math.prod(out_size)
    if not fits_at_once(kh * kw * channels * num_positions):
        width = len(phase.delays) * features
        total = _loop_over_frames(
            x, dy, spec, kernel_shape=kernel_shape, phase=phase, dy_before=before
        )
        return total.reshape(kh, kw, channels, width)

    start, last = phase.first * stride, (phase.end - 1) * stride
    clip = lax.slice_in_dim(x, start + phase.offset, last + phase.offset + 1, stride, axis=1)
    dy_of_taps = []
    for delay in phase.delays:
        dy_start = phase.first - delay + before
        dy_of_taps.append(lax.slice_in_dim(dy, dy_start, dy_start + num_frames, axis=1))
    dy_of_taps = concatenate(dy_of_taps)  # [N, frames, H', W', taps in time * F]
    gradients = []
    for window in spatial_windows(clip, spec, kernel_size=(kh, kw), out_size=tuple(out_size)):
        gradients.append(sum_over_positions(window, dy_of_taps))
    return jnp.stack(gradients).reshape(kh, kw, channels, -1)


def _loop_over_frames(x, dy, spec, *, kernel_shape, phase, dy_before):
    """The same for large clips, one frame of x at a time: [kh * kw * C, taps in time * F].

    `dy` is padded in time, with `dy_before` frames before its first.
    """
    kh, kw, channels, features = kernel_shape[1:]
    (n, t), padded_t, out_size = x.shape[:2], dy.shape[1], dy.shape[2:4]
    frames = x.reshape(n * t, *x.shape[2:])  # [N*T, H, W, C]
    dy_frames = dy.reshape(-1, *dy.shape[2:])  # [N * padded T', H', W', F]
    num_frames, width = phase.end - phase.first, len(phase.delays) * features
    rows_share_product = kw * channels < ROW_MIN_WIDTH

    def add_frame(index, totals):
        clip, q = index // num_frames, phase.first + index % num_frames
        frame_index = clip * t + q * spec.stride[0] + phase.offset
        frame = lax.dynamic_index_in_dim(frames, frame_index, keepdims=False)
        dy_of_taps = []
        for delay in phase.delays:
            dy_index = clip * padded_t + q - delay + dy_before
            dy_of_taps.append(lax.dynamic_index_in_dim(dy_frames, dy_index, keepdims=False))
        dy_of_taps = concatenate(dy_of_taps)  # [H', W', taps in time * F]
        rows = spatial_windows_by_row(frame, spec, kernel_size=(kh, kw), out_size=out_size)
        if rows_share_product:
            rows = [sum(rows, [])]
        added = []
        for total, row in zip(totals, rows, strict=True):
            # dy on the left: CPUs are faster at this product than at its transpose.
            added.append(total + sum_over_positions(dy_of_taps, concatenate(row)))
        return tuple(added)

    if rows_share_product:
        zeros = (jnp.zeros((width, kh * kw * channels), jnp.float32),)
    else:
        zeros = (jnp.zeros((width, kw * channels), jnp.float32),) * kh
    totals = lax.fori_loop(0, n * num_frames, add_frame, zeros)
    return jnp.concatenate(totals, axis=1).T
