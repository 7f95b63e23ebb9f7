"""The same convolution over clips in several forms.

Each takes x [N, T, H, W, C], a kernel [kt, kh, kw, C / groups, F] and a Spec.

`native` is one 3D convolution of the compiler's. `folded` goes through 2D convolutions, which compilers treat better: a
kernel without extent in time folds time into the batch, one without extent in space folds height and width into one
axis, and any other is the sum over its taps in time of the first case. `shifted` is the sum over all taps of a slice
times the tap: multiply-adds for a depthwise kernel, matrix products for any other, one of them for 1x1x1.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Pairs = tuple[tuple[int, int], ...]
Size = tuple[int, int, int]


class Spec(NamedTuple):
    """How a kernel moves over a clip: time, height, width; padding is zeros before and after."""

    stride: Size = (1, 1, 1)
    padding: Pairs = ((0, 0), (0, 0), (0, 0))
    dilation: Size = (1, 1, 1)
    groups: int = 1

    def reach(self, kernel_size: tuple[int, ...]) -> Size:
        """The extent of a dilated kernel."""
        return tuple((k - 1) * d + 1 for k, d in zip(kernel_size, self.dilation, strict=True))

    def out_size(self, size: tuple[int, ...], kernel_size: tuple[int, ...]) -> Size:
        """Positions of the kernel over a clip of `size`."""
        axes = zip(size, self.padding, self.reach(kernel_size), self.stride, strict=True)
        return tuple((n + lo + hi - reach) // stride + 1 for n, (lo, hi), reach, stride in axes)


def native(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """The compiler's own convolution."""
    return _convolve(x, kernel, spec.stride, spec.padding, spec.dilation, spec.groups)


def folded(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """Through 2D convolutions."""
    if spatial(kernel.shape, spec):
        return _fold_time(x[:, :: spec.stride[0]], kernel[0], spec)
    if temporal(kernel.shape, spec):
        x = x[:, :, :: spec.stride[1], :: spec.stride[2]]
        n, t, h, w, c = x.shape
        axis = (spec.stride[0], 1), (spec.padding[0], (0, 0)), (spec.dilation[0], 1)
        y = _convolve(x.reshape(n, t, h * w, c), kernel[:, 0], *axis, spec.groups)  # [N, T, H*W, C]
        return y.reshape(n, y.shape[1], h, w, -1)
    x = pad(x, (spec.padding[0], (0, 0), (0, 0)))
    taps = [_fold_time(frames, kernel[k], spec) for k, frames in enumerate(_slices(x, kernel.shape[0], spec, axis=0))]
    return sum(taps[1:], taps[0])


def shifted(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """A slice of the clip for each tap, times the tap, added up in float32."""
    x = pad(x, spec.padding)
    total = None
    for (i, j, k), window in zip(taps(kernel.shape), windows(x, kernel.shape[:3], spec), strict=True):
        y = times(window, kernel[i, j, k], spec.groups)
        total = y if total is None else total + y
    return total.astype(x.dtype)


FORMS = {"native": native, "folded": folded, "shifted": shifted}


def spatial(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every frame is convolved by itself."""
    return kernel_shape[0] == 1 and spec.padding[0] == (0, 0)


def temporal(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every position of the frame is convolved by itself."""
    return kernel_shape[1:3] == (1, 1) and spec.padding[1:] == ((0, 0), (0, 0))


def pointwise(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every position of the clip is by itself."""
    return spatial(kernel_shape, spec) and temporal(kernel_shape, spec)


def depthwise(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every channel is convolved by itself."""
    return kernel_shape[3] == 1 and spec.groups > 1


def taps(kernel_shape: tuple[int, ...]):
    """(i, j, k) of every tap, the last axis fastest."""
    return itertools.product(*map(range, kernel_shape[:3]))


def windows(x: jax.Array, kernel_size: tuple[int, ...], spec: Spec):
    """For each tap what it meets in a padded clip, [N, T', H', W', C]."""
    for frames in _slices(x, kernel_size[0], spec, axis=0):
        for rows in _slices(frames, kernel_size[1], spec, axis=1):
            yield from _slices(rows, kernel_size[2], spec, axis=2)


def times(window: jax.Array, tap: jax.Array, groups: int) -> jax.Array:
    """What a tap [C/groups, F] makes of what it meets [..., C]: [..., F], float32."""
    if groups == 1:
        return jnp.dot(window, tap, preferred_element_type=jnp.float32)
    c, features = tap.shape
    if c == 1:
        window = window.astype(jnp.float32)
        copies = features // groups
        window = window if copies == 1 else jnp.repeat(window, copies, axis=-1)
        return window * tap[0].astype(jnp.float32)
    window = window.reshape(*window.shape[:-1], groups, c)
    tap = tap.reshape(c, groups, features // groups)
    y = jnp.einsum("...gc,cgf->...gf", window, tap, preferred_element_type=jnp.float32)
    return y.reshape(*y.shape[:-2], features)


def _slices(x, k, spec, *, axis):
    """For each of k taps along an axis of (time, height, width), the positions that it meets."""
    stride, dilation = spec.stride[axis], spec.dilation[axis]
    last = x.shape[axis + 1] - (k - 1) * dilation - 1  # where the first tap stands at the kernel's last position
    for tap in range(k):
        start = tap * dilation
        yield lax.slice_in_dim(x, start, start + last + 1, stride, axis=axis + 1)


def pad(x, padding):
    """Zeros on time, height and width; a negative number cuts."""
    if all(pair == (0, 0) for pair in padding):
        return x
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in padding), (0, 0, 0)])


def _fold_time(x, kernel, spec):
    """Frame by frame: kernel [kh, kw, C, F]."""
    n, t = x.shape[:2]
    x = x.reshape(n * t, *x.shape[2:])  # [N*T, H, W, C]
    y = _convolve(x, kernel, spec.stride[1:], spec.padding[1:], spec.dilation[1:], spec.groups)
    return y.reshape(n, t, *y.shape[1:])


def _convolve(x, kernel, stride, padding, dilation, groups):
    """x [N, H, W, C] or [N, T, H, W, C]."""
    layouts = ("NHWC", "HWIO", "NHWC") if x.ndim == 4 else ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(
        x,
        kernel,
        stride,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=layouts,
        feature_group_count=groups,
    )
