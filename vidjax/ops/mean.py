"""Means over time and space of clips and of streams, in float32 whatever type they come in.

In a clip a mean is taken over the frames at once. In a stream (`ops.stream`) the layer that asks
keeps the mean and the number of frames so far. Means of probabilities are taken of logits.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.ops import stream
from vidjax.ops.pool import global_avg_pool


def mean_so_far(module: nn.Module, x: jax.Array) -> jax.Array:
    """The mean over space, this frame and those before it: [N, T, H, W, C] -> [N, T, 1, 1, C].

    It is taken in float32.
    """
    if stream.stepping():
        return _running_mean(module, x)
    stream.note(module, x)
    of_frames = x.astype(jnp.float32).mean(axis=(2, 3), keepdims=True)
    counts = jnp.arange(1, x.shape[1] + 1, dtype=jnp.float32).reshape(1, -1, 1, 1, 1)
    return (jnp.cumsum(of_frames, axis=1) / counts).astype(x.dtype)


def mean_over_clip(module: nn.Module, x: jax.Array) -> jax.Array:
    """`global_avg_pool`, [N, T, H, W, C] -> [N, 1, 1, 1, C], which in a stream is `mean_so_far`."""
    if stream.stepping() and not stream.averaged_before(module):
        return _running_mean(module, x)
    stream.note(module, x)
    return global_avg_pool(x)


def log_mean_probabilities(
    logits: jax.Array, axis: int | Sequence[int], *, weights: jax.Array | None = None
) -> jax.Array:
    """The logarithm of the mean of softmax(logits) over some axes, which go: [..., K] -> [..., K].

    `weights`, which sum to 1, broadcast to the logits; None weighs alike. Probabilities stay
    logarithms all along, because one that is rounded to 0 would make the loss infinite.
    """
    log_probabilities = jax.nn.log_softmax(logits)
    if weights is None:
        axes = (axis,) if isinstance(axis, int) else tuple(axis)
        weights = 1 / math.prod(logits.shape[number] for number in axes)
    return jax.nn.logsumexp(log_probabilities, axis=axis, b=weights)


def _running_mean(module: nn.Module, x: jax.Array) -> jax.Array:
    """The mean of the frames of a stream: [N, 1, H, W, C] -> [N, 1, 1, 1, C]."""
    of_frame = x.astype(jnp.float32).mean(axis=(1, 2, 3), keepdims=True)
    mean = stream.carried(module, "mean", lambda: jnp.zeros_like(of_frame))
    count = stream.carried(module, "count", lambda: jnp.zeros((), jnp.int32))
    # The mean moves towards the frame. A sum would grow without end and lose digits.
    num_frames = count.value + 1
    new = mean.value + (of_frame - mean.value) / num_frames
    mean.keep(new)
    count.keep(num_frames)
    return new.astype(x.dtype)
