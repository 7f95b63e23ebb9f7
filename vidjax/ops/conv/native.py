"""The lowering "native": one convolution of XLA's over all three axes."""

from collections.abc import Sequence

import jax
from jax import lax

from vidjax.ops.conv.spec import Spec


def native(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """Convolves [N, T, H, W, C] with [kt, kh, kw, C / groups, F] in one op of XLA's."""
    return xla_convolution(
        x,
        kernel,
        stride=spec.stride,
        padding=spec.padding,
        dilation=spec.dilation,
        groups=spec.groups,
    )


def xla_convolution(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
) -> jax.Array:
    """XLA's convolution in two axes or three, with the channels last.

    Args:
      x: [N, H, W, C] or [N, T, H, W, C].
      kernel: [kh, kw, C / groups, F] or [kt, kh, kw, C / groups, F].
      stride: an entry for each axis that is convolved; so with the next two.
      padding: pairs (before, after).
      dilation: distance of neighbouring taps.
      groups: number of groups of channels.
    """
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
