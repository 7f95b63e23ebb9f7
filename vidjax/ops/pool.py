"""Pooling over clips, [N, T, H, W, C] in and out; padding never counts as a value."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.ops.padding import Padding, pairs


def max_pool(
    x: jax.Array, window: Sequence[int], stride: Sequence[int] | None = None, padding: Padding = (0, 0, 0)
) -> jax.Array:
    """The largest value under a window [kt, kh, kw], which moves by `stride` (its own size by default).

    A window larger than what there is, padding included, shrinks to it.
    """
    stride = tuple(stride or window)
    pads = pairs(padding, x.shape[1:4], window, stride)
    window = tuple(min(k, size + sum(pad)) for k, size, pad in zip(window, x.shape[1:4], pads, strict=True))
    return nn.max_pool(x, window, stride, pads)


def avg_pool(
    x: jax.Array, window: Sequence[int], stride: Sequence[int] | None = None, padding: Padding = (0, 0, 0)
) -> jax.Array:
    """The mean under a window [kt, kh, kw] of the values that are there: padding is left out of sum and count.

    A window larger than what there is shrinks to it.
    """
    window = tuple(min(k, size) for k, size in zip(window, x.shape[1:4], strict=True))
    stride = tuple(stride or window)
    pads = pairs(padding, x.shape[1:4], window, stride)
    return nn.avg_pool(x, window, stride, pads, count_include_pad=False)


def global_avg_pool(x: jax.Array) -> jax.Array:
    """[N, T, H, W, C] -> [N, 1, 1, 1, C], summed in float32."""
    return x.astype(jnp.float32).mean(axis=(1, 2, 3), keepdims=True).astype(x.dtype)
