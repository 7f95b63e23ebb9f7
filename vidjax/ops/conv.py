"""Convolution over clips: one meaning, [N, T, H, W, C] in and out, and several ways to lower it.

"native" is one 3D convolution. "folded" is the same sum through 2D convolutions, which compilers treat better (XLA's
CPU path runs a 1x3x3 or 3x1x1 kernel three to seven times faster that way): a kernel without extent in time folds time
into the batch, a kernel without extent in space folds height and width into one axis, and any other is the sum over its
taps in time of the first case. "auto" picks the folded form where that is one 2D convolution.

On a CPU the folded forms have a kernel gradient of their own. The compiler turns it into a convolution with a window as
large as the frame; a matrix product for each frame, or each row, whose operand fits into the cache, takes a third to
two thirds of its time.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.padding import Padding, pairs

LOWERINGS = ("auto", "native", "folded")
NONE = ((0, 0), (0, 0), (0, 0))  # no padding
MIN_CHANNELS = 8  # with fewer, gathering the operand of the matrix product costs more than the convolution


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: Sequence[int] = (1, 1, 1),
    padding: Padding = (0, 0, 0),
    groups: int = 1,
    lowering: str = "auto",
) -> jax.Array:
    """Cross-correlates [N, T, H, W, C] with a kernel [kt, kh, kw, C / groups, features].

    `padding` counts the zeros on each side of time, height and width, as PyTorch does, so that the output has
    (size + 2 * padding - kernel) // stride + 1 positions; an axis may have a pair (before, after), and "SAME" pads as
    TensorFlow does, to ceil(size / stride) positions. Raises ValueError for a lowering that is not in LOWERINGS.
    """
    if lowering not in LOWERINGS:
        raise ValueError(f"no lowering {lowering!r}; there are {', '.join(LOWERINGS)}")
    padding = pairs(padding, x.shape[1:4], kernel.shape[:3], stride)
    if lowering == "native":
        return _convolve(x, kernel, stride, padding, groups)
    kt, kh, kw = kernel.shape[:3]
    if (kt, kh, kw) == (1, 1, 1) and padding == NONE:  # a slice first: a strided gradient would fill in zeros
        x, stride = x[:, :: stride[0], :: stride[1], :: stride[2]], (1, 1, 1)
    own_gradient = groups == 1 and kernel.shape[3] >= MIN_CHANNELS and jax.default_backend() == "cpu"
    if kt == 1 and padding[0] == (0, 0):
        x = x[:, :: stride[0]]
        if own_gradient:
            return _conv_space(x, kernel[0], tuple(stride[1:]), padding[1:])
        return _fold_time(x, kernel[0], stride[1:], padding[1:], groups)
    if kh == kw == 1 and padding[1:] == NONE[1:]:
        x = x[:, :, :: stride[1], :: stride[2]]
        if own_gradient:
            return _conv_time(x, kernel[:, 0, 0], stride[0], padding[0])
        return _fold_space(x, kernel[:, 0], stride[0], padding[0], groups)
    if lowering == "auto":
        return _convolve(x, kernel, stride, padding, groups)
    return _sum_over_time(x, kernel, stride, padding, groups)


def _convolve(x, kernel, stride, padding, groups):
    """The compiler's own convolution: x [N, H, W, C] or [N, T, H, W, C]."""
    layouts = ("NHWC", "HWIO", "NHWC") if x.ndim == 4 else ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(
        x,
        kernel,
        tuple(stride),
        padding,
        dimension_numbers=layouts,
        feature_group_count=groups,
    )


def _fold_time(x, kernel, stride, padding, groups):
    """Frame by frame: kernel [kh, kw, C, F]."""
    n, t = x.shape[:2]
    x = x.reshape(n * t, *x.shape[2:])  # [N*T, H, W, C]
    y = _convolve(x, kernel, stride, padding, groups)
    return y.reshape(n, t, *y.shape[1:])


def _fold_space(x, kernel, stride, padding, groups):
    """Position by position: kernel [kt, 1, C, F]."""
    n, t, h, w, c = x.shape
    x = x.reshape(n, t, h * w, c)  # [N, T, H*W, C]
    y = _convolve(x, kernel, (stride, 1), (padding, (0, 0)), groups)
    return y.reshape(n, y.shape[1], h, w, -1)


def _sum_over_time(x, kernel, stride, padding, groups):
    x = jnp.pad(x, ((0, 0), padding[0], (0, 0), (0, 0), (0, 0)))
    last = x.shape[1] - kernel.shape[0]  # the first frame under the kernel's last position
    taps = [
        _fold_time(x[:, k : k + last + 1 : stride[0]], kernel[k], stride[1:], padding[1:], groups)
        for k in range(kernel.shape[0])
    ]
    return sum(taps[1:], taps[0])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_space(x, kernel, stride, padding):
    """_fold_time with a kernel gradient frame by frame: kernel [kh, kw, C, F]."""
    return _fold_time(x, kernel, stride, padding, 1)


def _conv_space_forward(x, kernel, stride, padding):
    return _conv_space(x, kernel, stride, padding), (x, kernel)


def _conv_space_backward(stride, padding, saved, dy):
    x, kernel = saved
    (kh, kw, c, features), (sh, sw) = kernel.shape, stride
    _, vjp = jax.vjp(lambda x: _fold_time(x, kernel, stride, padding, 1), x)
    ho, wo = dy.shape[2:4]

    def add_frame(t, total):
        frame = lax.dynamic_index_in_dim(x, t, axis=1, keepdims=False)  # [N, H, W, C]
        frame = jnp.pad(frame, ((0, 0), *padding, (0, 0)))
        rows = [frame[:, i : i + sh * (ho - 1) + 1 : sh] for i in range(kh)]
        taps = [row[:, :, j : j + sw * (wo - 1) + 1 : sw] for row in rows for j in range(kw)]
        return total + _product(taps, lax.dynamic_index_in_dim(dy, t, axis=1, keepdims=False))

    total = lax.fori_loop(0, x.shape[1], add_frame, jnp.zeros((kh * kw * c, features), jnp.float32))
    return vjp(dy)[0], total.reshape(kernel.shape).astype(kernel.dtype)


_conv_space.defvjp(_conv_space_forward, _conv_space_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_time(x, kernel, stride, padding):
    """_fold_space with a kernel gradient row by row: kernel [kt, C, F], stride and padding in time."""
    return _fold_space(x, kernel[:, None], stride, padding, 1)


def _conv_time_forward(x, kernel, stride, padding):
    return _conv_time(x, kernel, stride, padding), (x, kernel)


def _conv_time_backward(stride, padding, saved, dy):
    x, kernel = saved
    kt, c, features = kernel.shape
    _, vjp = jax.vjp(lambda x: _fold_space(x, kernel[:, None], stride, padding, 1), x)
    last = stride * (dy.shape[1] - 1)

    def add_row(h, total):
        row = lax.dynamic_index_in_dim(x, h, axis=2, keepdims=False)  # [N, T, W, C]
        row = jnp.pad(row, ((0, 0), padding, (0, 0), (0, 0)))
        taps = [row[:, k : k + last + 1 : stride] for k in range(kt)]
        return total + _product(taps, lax.dynamic_index_in_dim(dy, h, axis=2, keepdims=False))

    total = lax.fori_loop(0, x.shape[2], add_row, jnp.zeros((kt * c, features), jnp.float32))
    return vjp(dy)[0], total.reshape(kernel.shape).astype(kernel.dtype)


_conv_time.defvjp(_conv_time_forward, _conv_time_backward)


def _product(taps, dy):
    """Sum over positions of (what the kernel saw)^T (gradient): taps [..., C] each, dy [..., F] -> [taps * C, F]."""
    seen = jnp.concatenate(taps, axis=-1)
    return jnp.dot(seen.reshape(-1, seen.shape[-1]).T, dy.reshape(-1, dy.shape[-1]), preferred_element_type=jnp.float32)


class Conv(nn.Module):
    """A convolution with its own kernel: [N, T, H, W, C] -> [N, T', H', W', features].

    Kernels start as He et al. (2015) with the fan counted at the output, as residual networks are trained in the field.
    """

    features: int
    kernel_size: tuple[int, int, int]
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: Padding = (0, 0, 0)
    groups: int = 1
    use_bias: bool = False
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", nn.initializers.variance_scaling(2.0, "fan_out", "normal"), shape)
        y = conv(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
            lowering=self.lowering,
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
            y = y + bias.astype(self.dtype)
        return y
