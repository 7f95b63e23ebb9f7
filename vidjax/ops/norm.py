"""Batch normalisation with the field's settings, its statistics in float32 whatever the network computes in.

Ioffe and Szegedy, Batch Normalization, ICML 2015. Under jit with the batch sharded, the statistics are those of the
whole batch on all devices: no axis name is needed. The gradient is written out: what automatic differentiation makes of
mean and variance goes over the array about twice as often.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(y [..., C] of x's type, mean [C], biased variance [C], float32) over all axes but the last.

    Differentiable in x, scale and bias, in reverse; mean and variance count as constants.
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(x, scale, bias, epsilon):
    wide, axes = x.astype(jnp.float32), tuple(range(x.ndim - 1))
    mean = wide.mean(axes)
    variance = jnp.maximum((wide * wide).mean(axes) - mean * mean, 0)
    inverse = lax.rsqrt(variance + epsilon)
    # One factor and one summand a channel, here and for dx: what is centred would be kept at full size.
    factor = inverse * scale
    y = wide * factor + (bias - mean * factor)
    return (y.astype(x.dtype), mean, variance), (x, scale, mean, inverse)


def _backward(epsilon, saved, cotangents):
    x, scale, mean, inverse = saved
    wide, dy = x.astype(jnp.float32), cotangents[0].astype(jnp.float32)
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    dbias = dy.sum(axes)
    dscale = (dy * (wide - mean)).sum(axes) * inverse
    factor = inverse * scale
    slope = -factor * inverse * dscale / count
    dx = dy * factor + wide * slope - (factor * dbias / count + slope * mean)
    return dx.astype(x.dtype), dscale, dbias


normalise.defvjp(_forward, _backward)


class BatchNorm(nn.Module):
    """[..., C] -> [..., C]; running statistics move by a tenth a step, as in PyTorch's `momentum=0.1`."""

    epsilon: float = 1e-5
    momentum: float = 0.9
    dtype: str = "float32"
    frozen: bool = False  # running statistics in training, too, and no gradient into the variables
    zero_scale: bool = False  # starts the scale at zero

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shape = (x.shape[-1],)
        scale_init = nn.initializers.zeros if self.zero_scale else nn.initializers.ones
        scale = self.param("scale", scale_init, shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        variance = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        if self.frozen or not train:
            centre, spread = mean.value, variance.value
            if self.frozen:
                frozen = (scale, bias, centre, spread)
                scale, bias, centre, spread = lax.stop_gradient(frozen)
            factor = lax.rsqrt(spread + self.epsilon) * scale
            return ((x.astype(jnp.float32) - centre) * factor + bias).astype(self.dtype)
        y, now, spread = normalise(x.astype(self.dtype), scale, bias, self.epsilon)
        if not self.is_initializing():
            mean.value = self.momentum * mean.value + (1 - self.momentum) * now
            variance.value = self.momentum * variance.value + (1 - self.momentum) * spread
        return y
