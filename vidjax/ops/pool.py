"""Pooling over clips, [N, T, H, W, C] in and out; padding never counts as a value."""

import functools
import itertools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops import phases
from vidjax.ops.conv import forms
from vidjax.ops.conv.forms import Spec
from vidjax.ops.padding import Padding, pairs

MANY = 64  # positions of a window, 256 at most: the gradient of a larger one is the compiler's
FEW = 4  # positions: for no more than these, finding the largest again is cheaper than keeping where it was


def max_pool(
    x: jax.Array,
    window: Sequence[int],
    stride: Sequence[int] | None = None,
    padding: Padding = (0, 0, 0),
) -> jax.Array:
    """The largest value under a window [kt, kh, kw], which moves by `stride` (its own size by default).

    A window larger than what there is, padding included, shrinks to it.
    """
    stride = tuple(stride or window)
    pads = pairs(padding, x.shape[1:4], window, stride)
    window = tuple(
        min(k, size + sum(pad)) for k, size, pad in zip(window, x.shape[1:4], pads, strict=True)
    )
    return _max_pool(x, window, stride, tuple(pads))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x, window, stride, pads):
    def own(x):
        """Axis by axis, the largest of as many slices as the window is long: the compiler's goes value by value."""
        x = forms.pad(x, pads, -jnp.inf)
        for axis, length in enumerate(window):
            x = functools.reduce(jnp.maximum, forms.slices(x, length, Spec(stride), axis=axis))
        return x

    return lax.platform_dependent(
        x, cpu=own, default=lambda x: nn.max_pool(x, window, stride, pads)
    )


def _forward(x, window, stride, pads):
    if math.prod(window) > MANY:
        return _max_pool(x, window, stride, pads), (x, None)

    def compilers(x):
        y = nn.max_pool(x, window, stride, pads)
        return y, jnp.zeros(y.shape, jnp.uint8)  # which nothing reads

    own = functools.partial(_with_first, window=window, stride=stride, pads=pads)
    y, first = lax.platform_dependent(x, cpu=own, default=compilers)
    return y, (x, first)


def _backward(window, stride, pads, saved, dy):
    def compilers(x, first, dy):
        return jax.vjp(lambda x: nn.max_pool(x, window, stride, pads), x)[1](dy)[0]

    x, first = saved
    if first is None:
        return (compilers(x, first, dy),)
    own = functools.partial(_to_the_first, window=window, stride=stride, pads=pads)
    return (lax.platform_dependent(x, first, dy, cpu=own, default=compilers),)


def _with_first(x, window, stride, pads):
    """The largest values, and the number of the tap that each came from: the first of equal ones.

    Windows of more than FEW positions run in a loop over two halves of the channels. It is there only so that the
    compiler keeps the numbers, instead of finding them anew in all that reads them. What is not a number passes
    through, without a tap of its own.
    """

    def find(clips):
        windows = forms.windows(forms.pad(clips, pads, -jnp.inf), window, Spec(stride))
        y = next(windows)
        first = jnp.zeros(y.shape, jnp.uint8)
        for number, seen in enumerate(windows, start=1):
            first = jnp.where(seen > y, jnp.uint8(number), first)
            y = jnp.maximum(y, seen)
        return y, first

    half, odd = divmod(x.shape[4], 2)
    if odd or math.prod(window) <= FEW:
        return find(x)
    halves = lax.map(
        lambda start: find(lax.dynamic_slice_in_dim(x, start, half, axis=4)), jnp.array([0, half])
    )
    return tuple(forms.beside([array[0], array[1]]) for array in halves)


def _to_the_first(x, first, dy, window, stride, pads):
    """dL/dx, to the taps that `first` names: phase by phase, where the compiler's scatter goes value by value."""
    padded = [size + lo + hi for size, (lo, hi) in zip(x.shape[1:4], pads, strict=True)]
    counts = [-(-size // step) for size, step in zip(padded, stride, strict=True)]
    none, clips = jnp.zeros((), dy.dtype), []
    for phase in itertools.product(*map(range, stride)):
        clip = jnp.zeros((x.shape[0], *counts, x.shape[4]), dy.dtype)
        for number, tap in enumerate(forms.taps(window)):
            if all(k % s == p for k, s, p in zip(tap, stride, phase, strict=True)):
                befores = [k // s for k, s in zip(tap, stride, strict=True)]
                around = [
                    (lo, c - o - lo, 0)
                    for lo, c, o in zip(befores, counts, dy.shape[1:4], strict=True)
                ]
                clip = clip + lax.pad(
                    jnp.where(first == number, dy, none), none, [(0, 0, 0), *around, (0, 0, 0)]
                )
        clips.append(clip)
    return phases.interleave(clips, stride, [lo for lo, _ in pads], x.shape[1:4])


_max_pool.defvjp(_forward, _backward)


def avg_pool(
    x: jax.Array,
    window: Sequence[int],
    stride: Sequence[int] | None = None,
    padding: Padding = (0, 0, 0),
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
