"""Max and average pooling over clips, [N, T, H, W, C] in and out; padding never counts as a value.

On a CPU, max pooling and its gradient are computed here, because XLA takes one value at a time. The
forward pass notes which tap of the window each maximum came from, in a byte each, and the gradient
reads nothing else. On a GPU or TPU both are XLA's.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.conv.phases import interleave
from vidjax.ops.conv.spec import Pairs, Size, Spec
from vidjax.ops.conv.windows import axis_windows, concatenate, pad, taps, windows
from vidjax.ops.padding import Padding, pairs

# Above this many taps in a window, the gradient is XLA's: ours makes a pass over the clip for each
# tap. A tap's number has to fit a byte, so this can be 256 at most.
MAX_TAPS = 64
# Up to this many taps, comparing again in the backward pass is faster than keeping the numbers.
RECOMPUTED_MAX_TAPS = 4


class _Window(NamedTuple):
    """A pooling window and how it moves, in time, height and width."""

    size: Size
    stride: Size
    padding: Pairs

    @property
    def num_taps(self) -> int:
        return math.prod(self.size)


def max_pool(
    x: jax.Array,
    window: Sequence[int],
    stride: Sequence[int] | None = None,
    padding: Padding = (0, 0, 0),
) -> jax.Array:
    """Takes the maximum under a moving window.

    Args:
      x: clips [N, T, H, W, C].
      window: sizes (kt, kh, kw). A window larger than the padded clip shrinks to it.
      stride: steps of the window; by default its size as given, so that windows do not overlap.
      padding: as in `vidjax.ops.conv.conv`; padding is never the maximum.

    Returns:
      [N, T', H', W', C].
    """
    stride = tuple(stride or window)
    pads = pairs(padding, x.shape[1:4], window, stride)
    shrunk = []
    for window_size, clip_size, pad_pair in zip(window, x.shape[1:4], pads, strict=True):
        shrunk.append(min(window_size, clip_size + sum(pad_pair)))
    return _max_pool(x, _Window(tuple(shrunk), stride, pads))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x, window):
    on_cpu = functools.partial(_max_by_axis, window=window)
    by_xla = functools.partial(_max_by_xla, window=window)
    return lax.platform_dependent(x, cpu=on_cpu, default=by_xla)


def _max_by_xla(x, window):
    return nn.max_pool(x, window.size, window.stride, window.padding)


def _max_by_axis(x, window):
    """Along one axis after the other, the maximum of as many slices as the window is long."""
    x = pad(x, window.padding, -jnp.inf)
    for axis, length in enumerate(window.size):
        slices = axis_windows(x, length, Spec(window.stride), axis=axis)
        x = functools.reduce(jnp.maximum, slices)
    return x


def _forward(x, window):
    if window.num_taps > MAX_TAPS:
        return _max_pool(x, window), (x, None)

    def by_xla(x):
        y = _max_by_xla(x, window)
        return y, jnp.zeros(y.shape, jnp.uint8)  # its gradient does not read these

    on_cpu = functools.partial(_max_and_argmax, window=window)
    y, argmax = lax.platform_dependent(x, cpu=on_cpu, default=by_xla)
    return y, (x, argmax)


def _backward(window, residuals, dy):
    def by_xla(x, argmax, dy):
        _, vjp = jax.vjp(functools.partial(_max_by_xla, window=window), x)
        return vjp(dy)[0]

    x, argmax = residuals
    if argmax is None:
        return (by_xla(x, argmax, dy),)
    on_cpu = functools.partial(_gradient_to_argmax, window=window)
    return (lax.platform_dependent(x, argmax, dy, cpu=on_cpu, default=by_xla),)


_max_pool.defvjp(_forward, _backward)


def _max_and_argmax(x, window):
    """The maxima, and the number of the tap that each came from, uint8: the first of equal ones.

    NaN passes through to the maximum, but no comparison with it holds, so its tap is not noted.
    """

    def compare_taps(clips):
        candidates = windows(pad(clips, window.padding, -jnp.inf), window.size, Spec(window.stride))
        largest = next(candidates)
        argmax = jnp.zeros(largest.shape, jnp.uint8)
        for number, candidate in enumerate(candidates, start=1):
            argmax = jnp.where(candidate > largest, jnp.uint8(number), argmax)
            largest = jnp.maximum(largest, candidate)
        return largest, argmax

    half_channels, odd = divmod(x.shape[4], 2)
    if odd or window.num_taps <= RECOMPUTED_MAX_TAPS:
        return compare_taps(x)

    # A loop over two halves of the channels, only so that the compiler keeps the numbers. Without a
    # loop it computes them again in everything that reads them.
    def compare_half(start):
        return compare_taps(lax.dynamic_slice_in_dim(x, start, half_channels, axis=4))

    maxima, argmaxima = lax.map(compare_half, jnp.array([0, half_channels]))  # [2, ..., C / 2]
    maxima = concatenate([maxima[0], maxima[1]])
    return maxima, concatenate([argmaxima[0], argmaxima[1]])


def _gradient_to_argmax(x, argmax, dy, *, window):
    """Passes dy to the tap that `argmax` names, phase by phase of the stride: dL/dx of x's shape.

    XLA's gradient of a maximum is a scatter that goes value by value on a CPU.
    """
    stride = window.stride
    phase_size = []
    for size, (before, after), step in zip(x.shape[1:4], window.padding, stride, strict=True):
        phase_size.append(-(-(size + before + after) // step))
    phases = []
    for phase in itertools.product(*map(range, stride)):
        total = jnp.zeros((x.shape[0], *phase_size, x.shape[4]), dy.dtype)
        for number, tap in enumerate(taps(window.size)):
            if _phase_of_tap(tap, stride) == phase:
                dy_of_tap = jnp.where(argmax == number, dy, jnp.zeros((), dy.dtype))
                total = total + _at_tap(dy_of_tap, tap, stride=stride, phase_size=phase_size)
        phases.append(total)
    starts = [before for before, _ in window.padding]
    return interleave(phases, stride, starts=starts, size=x.shape[1:4])


def _phase_of_tap(tap, stride):
    return tuple(k % step for k, step in zip(tap, stride, strict=True))


def _at_tap(dy, tap, *, stride, phase_size):
    """Pads dy with zeros to the size of a phase, shifted to where a tap meets the phase."""
    config = [(0, 0, 0)]
    for axis in range(3):
        before = tap[axis] // stride[axis]
        config.append((before, phase_size[axis] - dy.shape[axis + 1] - before, 0))
    config.append((0, 0, 0))
    return lax.pad(dy, jnp.zeros((), dy.dtype), config)


def avg_pool(
    x: jax.Array,
    window: Sequence[int],
    stride: Sequence[int] | None = None,
    padding: Padding = (0, 0, 0),
) -> jax.Array:
    """Takes the mean under a moving window, in float32; padding is in neither sum nor count.

    Args:
      x: clips [N, T, H, W, C].
      window: sizes (kt, kh, kw). A window larger than the clip shrinks to it.
      stride: steps of the window; by default its size, after it has shrunk.
      padding: as in `vidjax.ops.conv.conv`.

    Returns:
      [N, T', H', W', C], of the type of x.
    """
    window = tuple(min(k, size) for k, size in zip(window, x.shape[1:4], strict=True))
    stride = tuple(stride or window)
    pads = pairs(padding, x.shape[1:4], window, stride)
    means = nn.avg_pool(x.astype(jnp.float32), window, stride, pads, count_include_pad=False)
    return means.astype(x.dtype)


def global_avg_pool(x: jax.Array) -> jax.Array:
    """Takes the mean over time and space, in float32: [N, T, H, W, C] -> [N, 1, 1, 1, C]."""
    return x.astype(jnp.float32).mean(axis=(1, 2, 3), keepdims=True).astype(x.dtype)
