"""Kernels [kt, kh, kw, C / groups, F] in other shapes: trimmed, flipped, dilated.

A tap is one position (i, j, k) of a kernel along time, height and width. Its weights are a matrix
[C / groups, F].
"""

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.conv.spec import Spec


def trim(kernel: jax.Array, spec: Spec, size: tuple[int, ...]) -> tuple[jax.Array, Spec]:
    """Cuts off outer taps that meet nothing but padding, wherever the kernel stands.

    The last stage of a network may have one frame left. Two of the three taps of a temporal kernel
    multiply nothing but zeros there.

    Args:
      kernel: [kt, kh, kw, C / groups, F].
      spec: how it moves.
      size: the clip's (T, H, W).

    Returns:
      The remaining kernel, and how that moves. Most often both are as they came.
    """
    taps, trimmed_spec = effective_taps(kernel.shape, spec, size)
    if trimmed_spec == spec:
        return kernel, spec
    return kernel[taps], trimmed_spec


def effective_taps(
    kernel_shape: tuple[int, ...], spec: Spec, size: tuple[int, ...]
) -> tuple[tuple[slice, ...], Spec]:
    """The ranges of taps along time, height and width that `trim` leaves, and how they move."""
    ranges, padding = [], []
    for axis, num_positions in enumerate(spec.out_size(size, kernel_shape[:3])):
        (before, after), dilation = spec.padding[axis], spec.dilation[axis]
        starts = range(0, num_positions * spec.stride[axis], spec.stride[axis])
        all_taps = range(kernel_shape[axis])
        useful = []
        for tap in all_taps:
            if _meets_clip(starts, tap * dilation - before, size[axis]):
                useful.append(tap)
        # A kernel over nothing but padding stays whole: no kernel is empty.
        useful = useful or all_taps
        first, last = useful[0], useful[-1]
        ranges.append(slice(first, last + 1))
        padding.append((before - first * dilation, after - (all_taps[-1] - last) * dilation))
    return tuple(ranges), spec._replace(padding=tuple(padding))


def _meets_clip(starts, offset, size):
    """Whether a tap at `offset` from the kernel's start ever lies inside an axis of `size`."""
    return any(0 <= start + offset < size for start in starts)


def flip(kernel: jax.Array, groups: int) -> jax.Array:
    """The kernel of the transposed convolution, for the gradient of the input.

    Taps come in reverse, and within each group input and output channels change places:
    [kt, kh, kw, C / groups, F] -> [kt, kh, kw, F / groups, C].
    """
    size, (channels, features) = kernel.shape[:3], kernel.shape[3:]
    kernel = jnp.flip(kernel, (0, 1, 2)).reshape(*size, channels, groups, features // groups)
    kernel = kernel.transpose(0, 1, 2, 5, 4, 3)  # [..., F / groups, groups, C / groups]
    return kernel.reshape(*size, features // groups, groups * channels)


def dilate_strided_axes(kernel: jax.Array, spec: Spec) -> jax.Array:
    """Writes the dilation of an axis out as zeros between the taps, where its stride is above 1."""
    config = []
    for stride, dilation in zip(spec.stride, spec.dilation, strict=True):
        zeros_between = dilation - 1 if stride > 1 else 0
        config.append((0, 0, zeros_between))
    if all(zeros_between == 0 for _, _, zeros_between in config):
        return kernel
    return lax.pad(kernel, jnp.zeros((), kernel.dtype), [*config, (0, 0, 0), (0, 0, 0)])
