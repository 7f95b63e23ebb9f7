"""The lowering "folded": 2D convolutions, which compilers are better at than 3D ones.

A spatial kernel (1 x kh x kw) folds time into the batch. A temporal kernel (kt x 1 x 1) folds
height and width into one axis. Any other kernel is a sum of kt spatial ones, each over the frames
that its tap in time meets.
"""

import jax

from vidjax.ops.conv.native import xla_convolution
from vidjax.ops.conv.spec import Spec, is_spatial, is_temporal
from vidjax.ops.conv.windows import axis_windows, pad


def folded(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """Convolves [N, T, H, W, C] with [kt, kh, kw, C / groups, F] by 2D convolutions."""
    if is_spatial(kernel.shape, spec):
        return _fold_time_into_batch(x[:, :: spec.stride[0]], kernel[0], spec)
    if is_temporal(kernel.shape, spec):
        return _fold_height_into_width(x[:, :, :: spec.stride[1], :: spec.stride[2]], kernel, spec)
    x = pad(x, (spec.padding[0], (0, 0), (0, 0)))
    addends = []
    for k, frames in enumerate(axis_windows(x, kernel.shape[0], spec, axis=0)):
        addends.append(_fold_time_into_batch(frames, kernel[k], spec))
    return sum(addends[1:], addends[0])


def _fold_time_into_batch(x, kernel, spec):
    """Frame by frame: [N, T', H, W, C] and [kh, kw, C / groups, F] -> [N, T', H', W', F]."""
    n, t = x.shape[:2]
    x = x.reshape(n * t, *x.shape[2:])  # [N*T', H, W, C]
    y = xla_convolution(
        x,
        kernel,
        stride=spec.stride[1:],
        padding=spec.padding[1:],
        dilation=spec.dilation[1:],
        groups=spec.groups,
    )
    return y.reshape(n, t, *y.shape[1:])


def _fold_height_into_width(x, kernel, spec):
    """Pixel by pixel: [N, T, H', W', C] and a kernel [kt, 1, 1, C / groups, F]."""
    n, t, h, w, c = x.shape
    y = xla_convolution(
        x.reshape(n, t, h * w, c),
        kernel[:, 0],
        stride=(spec.stride[0], 1),
        padding=(spec.padding[0], (0, 0)),
        dilation=(spec.dilation[0], 1),
        groups=spec.groups,
    )  # [N, T', H'*W', F]
    return y.reshape(n, y.shape[1], h, w, -1)
