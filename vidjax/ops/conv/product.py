"""The lowering "product": im2col and matrix products, on pieces small enough for a CPU's cache.

A clip whose im2col matrix is small takes one product, or a few. Of a larger clip, a loop gathers
one frame at a time. Which taps share a product depends on the numbers of channels and features:

- all taps of the kernel, where positions are few;
- all taps in time, and the results are then added up at their frames (`_all_taps_in_time`);
- the taps of a row of the kernel, with all its rows as columns (`_row_by_row`);
- as many taps as fill the inner dimension of a product (`_tap_by_tap`).

Products accumulate in float32.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.conv import kernels
from vidjax.ops.conv.matmul import fits_at_once, flatten_positions, has_few_positions
from vidjax.ops.conv.shifted import shifted
from vidjax.ops.conv.spec import Spec
from vidjax.ops.conv.windows import (
    axis_windows,
    concatenate,
    pad,
    spatial_windows,
    take_frames,
    windows,
)

# Below this many output features, the product of a single tap is too narrow to be fast. The rows of
# the kernel then share one product as its columns, which also gathers less.
SHARED_PRODUCT_BELOW_FEATURES = 128
# At or above this many input channels, a tap fills the inner dimension of a product of its own.
OWN_PRODUCT_MIN_CHANNELS = 128
# Taps with fewer channels are concatenated to an inner dimension of at most this size.
INNER_SIZE = 576


def product(x: jax.Array, kernel: jax.Array, spec: Spec, *, backward: bool = False) -> jax.Array:
    """Convolves by im2col and matrix products; grouped kernels go to "shifted".

    Args:
      x: [N, T, H, W, C], or [N, T, H, W, F] with `backward`.
      kernel: [kt, kh, kw, C / groups, F].
      spec: how the kernel moves.
      backward: convolve with the flipped kernel, as the gradient of the input does, without a
        flipped copy of it.

    Returns:
      [N, T', H', W', F], or [N, T', H', W', C] with `backward`.
    """
    if spec.groups > 1:
        if backward:
            kernel = kernels.flip(kernel, spec.groups)
        return shifted(x, kernel, spec)
    kt, kh, kw = kernel.shape[:3]
    channels = x.shape[-1]
    out_size = spec.out_size(x.shape[1:4], kernel.shape[:3])
    num_positions = x.shape[0] * math.prod(out_size)
    at_once = fits_at_once(kh * kw * channels * num_positions)
    if at_once and not backward and has_few_positions(num_positions, channels):
        return _all_taps(x, kernel, spec)
    # A sequence of kt kernels [kh, kw, C, F]. Forward it is the kernel itself: sliced where it is
    # read, it is not copied before the loop over frames.
    slices = _flipped_slices(kernel) if backward else kernel
    if not at_once and kt > 1 and spec.stride[0] == spec.dilation[0] == 1:
        return _all_taps_in_time(x, slices, spec)
    x = pad(x, (spec.padding[0], (0, 0), (0, 0)))
    if at_once:
        frames = list(axis_windows(x, kt, spec, axis=0))
        return _add_frames(frames, slices, spec, out_size=out_size[1:]).astype(x.dtype)
    return _frame_by_frame(x, slices, spec, out_size=out_size)


def _flipped_slices(kernel):
    """The flipped kernel for the gradient of the input, as a list of kt kernels [kh, kw, F, C]."""
    kt = kernel.shape[0]
    slices = []
    for k in range(kt):
        slices.append(jnp.flip(kernel[kt - 1 - k], (0, 1)).swapaxes(2, 3))
    return slices


def _all_taps(x, kernel, spec):
    """One product for all taps. It reads the kernel as it is in memory; slices would cost more."""
    x = pad(x, (spec.padding[0], (0, 0), (0, 0)))
    x = pad(x, ((0, 0), *spec.padding[1:]))
    columns = concatenate(list(windows(x, kernel.shape[:3], spec)))  # [N, T', H', W', taps * C]
    weights = flatten_positions(kernel)  # [taps * C, F]
    return jnp.dot(columns, weights, preferred_element_type=jnp.float32).astype(x.dtype)


def _frame_by_frame(x, slices, spec, *, out_size):
    """A loop over the frames of the result: x [N, T, H, W, C], padded in time."""
    n, t, h, w, c = x.shape
    out_t = out_size[0]
    frames = x.reshape(-1, h, w, c)  # [N*T, H, W, C]

    def convolve_frame(_, index):
        first = index // out_t * t + index % out_t * spec.stride[0]
        met = take_frames(frames, first, count=len(slices), step=spec.dilation[0])
        return None, _add_frames(met, slices, spec, out_size=out_size[1:]).astype(x.dtype)

    _, y = lax.scan(convolve_frame, None, jnp.arange(n * out_t))  # [N*T', H', W', F]
    return y.reshape(n, *out_size, -1)


def _add_frames(frames, slices, spec, *, out_size):
    """The sum over taps in time of frames [..., H, W, C] convolved with [kh, kw, C, F], float32."""
    features = slices[0].shape[-1]
    unit_step_down = spec.stride[1] == spec.dilation[1] == 1
    if unit_step_down and features < SHARED_PRODUCT_BELOW_FEATURES:
        return _row_by_row(frames, slices, spec, out_size=out_size)
    return _tap_by_tap(frames, slices, spec, out_size=out_size)


def _row_by_row(frames, slices, spec, *, out_size):
    """A product for each frame: im2col along the width, and all rows of the kernel as columns.

    The result has kh blocks of features, one for each row of the kernel. Row i of the kernel meets
    row y + i of the frame, so block i is read i rows further down. For kh = 3 this gathers a third
    of what a full im2col does. It needs a stride and a dilation of 1 along the height.
    """
    kh, kw, channels, features = slices[0].shape
    out_h, out_w = out_size
    total = 0
    for frame, kernel in zip(frames, slices, strict=True):
        row = spatial_windows(frame, spec, kernel_size=(1, kw), out_size=(out_h + kh - 1, out_w))
        columns = flatten_positions(concatenate(row))  # [positions, kw * C]
        weights = kernel.transpose(1, 2, 0, 3).reshape(kw * channels, kh * features)
        total = total + jnp.dot(columns, weights, preferred_element_type=jnp.float32)
    total = total.reshape(*row[0].shape[:-1], kh * features)  # [..., H' + kh - 1, W', kh * F]
    blocks = []
    for i in range(kh):
        blocks.append(total[..., i : i + out_h, :, i * features : (i + 1) * features])
    return sum(blocks)


def _tap_by_tap(frames, slices, spec, *, out_size):
    """A product for each tap, or for several concatenated taps where channels are few."""
    kh, kw, channels, features = slices[0].shape
    all_windows, all_weights = [], []
    for frame in frames:
        all_windows += spatial_windows(frame, spec, kernel_size=(kh, kw), out_size=out_size)
    for kernel in slices:
        for i in range(kh):
            for j in range(kw):
                all_weights.append(kernel[i, j])  # [C, F]
    taps_in_product = 1
    if channels < OWN_PRODUCT_MIN_CHANNELS:
        taps_in_product = max(1, INNER_SIZE // channels)
    total = 0
    for first in range(0, len(all_windows), taps_in_product):
        columns = concatenate(all_windows[first : first + taps_in_product])
        weights = all_weights[first : first + taps_in_product]
        weights = weights[0] if len(weights) == 1 else jnp.concatenate(weights)
        columns = flatten_positions(columns)  # [positions, taps * C]
        total = total + jnp.dot(columns, weights, preferred_element_type=jnp.float32)
    return total.reshape(*all_windows[0].shape[:-1], features)


def _all_taps_in_time(x, slices, spec):
    """A product for each frame of the clip, with all taps in time as columns, for large clips.

    Each frame is gathered once. The product gives what the frame adds to kt frames of the result,
    and a sum over the whole clip, kept in float32, collects these. It needs a stride and a dilation
    of 1 in time.
    """
    n, t = x.shape[:2]
    kt, (kh, kw, channels, features) = len(slices), slices[0].shape
    _, out_h, out_w = spec.out_size(x.shape[1:4], (kt, kh, kw))
    weights = concatenate([kernel.reshape(-1, features) for kernel in slices])  # [kh*kw*C, kt*F]
    frames = x.reshape(-1, *x.shape[2:])  # [N*T, H, W, C]
    full_t = t + kt - 1  # positions of the kernel in time that meet at least one frame

    def add_frame(total, index):
        frame = lax.dynamic_index_in_dim(frames, index, keepdims=False)
        columns = spatial_windows(frame, spec, kernel_size=(kh, kw), out_size=(out_h, out_w))
        columns = concatenate(columns).reshape(-1, kh * kw * channels)
        y = jnp.dot(columns, weights, preferred_element_type=jnp.float32)
        y = y.reshape(out_h, out_w, kt * features)
        # The kernel moves forward, so its last tap is the first to meet this frame.
        addends = []
        for k in reversed(range(kt)):
            addends.append(y[..., k * features : (k + 1) * features])
        addends = jnp.stack(addends)  # [kt, H', W', F]
        corner = (index // t * full_t + index % t, 0, 0, 0)
        updated = lax.dynamic_slice(total, corner, addends.shape) + addends
        return lax.dynamic_update_slice(total, updated, corner), None

    zeros = jnp.zeros((n * full_t, out_h, out_w, features), jnp.float32)
    total, _ = lax.scan(add_frame, zeros, jnp.arange(n * t))
    total = total.reshape(n, full_t, out_h, out_w, features).astype(x.dtype)
    # `total` has kt - 1 positions before the first frame and as many after the last. Padding asks
    # for fewer, so this crops; more padding than that gives zeros.
    before, after = spec.padding[0]
    return pad(total, ((before - kt + 1, after - kt + 1), (0, 0), (0, 0)))
