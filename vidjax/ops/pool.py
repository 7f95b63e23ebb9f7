"""Pooling over clips, [N, T, H, W, C] in and out; padding never counts as a value."""

import functools
import itertools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

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
    return _max_pool(x, window, stride, tuple(pads))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x, window, stride, pads):
    return nn.max_pool(x, window, stride, pads)


def _forward(x, window, stride, pads):
    y = _max_pool(x, window, stride, pads)
    return y, (x, y)


def _backward(window, stride, pads, saved, dy):
    def own(x, y, dy):
        """For each tap, where it is the first that has the maximum. The compiler's scatter takes five times as long."""
        low, none = jnp.array(-jnp.inf, x.dtype), jnp.zeros((), dy.dtype)
        x = lax.pad(x, low, [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)])
        total, free = jnp.zeros_like(x), jnp.ones(y.shape, bool)
        for tap in itertools.product(*map(range, window)):
            ends = [o + s * (n - 1) + 1 for o, s, n in zip(tap, stride, y.shape[1:4], strict=True)]
            i, j, k = (slice(o, end, s) for o, end, s in zip(tap, ends, stride, strict=True))
            here = (x[:, i, j, k] == y) & free
            free = free & ~here
            axes = zip(tap, ends, stride, x.shape[1:4], strict=True)
            spread = [(0, 0, 0), *((o, size - end, s - 1) for o, end, s, size in axes), (0, 0, 0)]
            total = total + lax.pad(jnp.where(here, dy, none), none, spread)
        i, j, k = (slice(lo, size - hi) for (lo, hi), size in zip(pads, x.shape[1:4], strict=True))
        return total[:, i, j, k]

    def compilers(x, y, dy):
        return jax.vjp(lambda x: nn.max_pool(x, window, stride, pads), x)[1](dy)[0]

    return (lax.platform_dependent(*saved, dy, cpu=own, default=compilers),)


_max_pool.defvjp(_forward, _backward)


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
