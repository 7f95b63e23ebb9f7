"""Batch normalisation with statistics in float32, whatever type the network computes in.

Ioffe and Szegedy, Batch Normalization, ICML 2015. Under jit, a batch that is sharded over devices
is normalised by the statistics of the whole batch, so no axis name is needed. The gradient is
written by hand, because automatic differentiation of mean and variance reads the activations about
twice as often.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from vidjax.core.errors import UserError


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises [..., C] over all axes but the last, then scales and shifts each channel.

    Supports reverse-mode differentiation in x, scale and bias. The mean and the variance that it
    returns pass no gradient back.

    Args:
      x: activations [..., C].
      scale: gamma [C], float32.
      bias: beta [C], float32.
      epsilon: what is added to the variance.

    Returns:
      y [..., C] of x's type, the mean [C] and the biased variance [C], both float32.
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(x, scale, bias, epsilon):
    x32 = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    mean = x32.mean(axes)
    # Rounding can take the difference of two close numbers below zero.
    variance = jnp.maximum((x32 * x32).mean(axes) - mean * mean, 0)
    inverse = lax.rsqrt(variance + epsilon)
    # y is one multiply-add with values of size [C]. Centring x first would make an array of full
    # size, which the compiler then keeps for the backward pass.
    factor = inverse * scale
    y = x32 * factor + (bias - mean * factor)
    return (y.astype(x.dtype), mean, variance), (x, scale, mean, inverse)


def _backward(epsilon, residuals, cotangents):
    x, scale, mean, inverse = residuals
    x32, dy = x.astype(jnp.float32), cotangents[0].astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    count = x.size // x.shape[-1]
    dbias = dy.sum(axes)
    dscale = (dy * (x32 - mean)).sum(axes) * inverse
    # dx = factor * (dy - dbias / count - normalised x * dscale / count), arranged as in _forward:
    # dy and x are each multiplied by a vector [C], and a third vector is subtracted.
    factor = inverse * scale
    slope = -factor * inverse * dscale / count
    dx = dy * factor + x32 * slope - (factor * dbias / count + slope * mean)
    return dx.astype(x.dtype), dscale, dbias


normalise.defvjp(_forward, _backward)


def normalise_groups(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, *, groups: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`normalise` for each group of clips in a row, [N, ..., C], and the means of its statistics.

    Raises UserError where the groups do not divide the batch.
    """
    num_clips, channels = x.shape[0], x.shape[-1]
    if num_clips % groups:
        raise UserError(
            f"A batch of {num_clips} clips cannot be divided into model.batch_groups={groups} "
            f"groups of equal size; take a number that divides it."
        )
    grouped = x.reshape(groups, -1, channels)  # [groups, N / groups * ..., C]
    # The scale and the bias are the same for all groups, so that their gradients add up.
    normalise_one = functools.partial(normalise, epsilon=epsilon)
    y, mean, variance = jax.vmap(normalise_one, in_axes=(0, None, None))(grouped, scale, bias)
    return y.reshape(x.shape), mean.mean(0), variance.mean(0)


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the channels: [..., C] -> [..., C].

    Training normalises by the statistics of the batch and moves the running ones, which are what
    inference normalises by.

    Args:
      epsilon: what is added to the variance.
      momentum: how much of a running statistic stays at each step. 0.9 is PyTorch's momentum=0.1.
      dtype: type of the output; statistics and parameters are float32.
      frozen: normalise by the running statistics in training as well, with no gradient into the
        scale and the bias.
      zero_scale: start the scale at zero, so that the block that ends in this norm starts as its
        shortcut.
      groups: normalise this many groups of clips in a row by statistics of their own in training;
        the running statistics move by the mean over the groups.

    Raises UserError for a batch in training that `groups` does not divide.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9
    dtype: str = "float32"
    frozen: bool = False
    zero_scale: bool = False
    groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shape = (x.shape[-1],)
        scale_init = nn.initializers.zeros if self.zero_scale else nn.initializers.ones
        scale = self.param("scale", scale_init, shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        if self.frozen or not train:
            mean, variance = running_mean.value, running_var.value
            if self.frozen:
                frozen = (scale, bias, mean, variance)
                scale, bias, mean, variance = lax.stop_gradient(frozen)
            factor = lax.rsqrt(variance + self.epsilon) * scale
            y = (x.astype(jnp.float32) - mean) * factor + bias
            return y.astype(self.dtype)
        x = x.astype(self.dtype)
        if self.groups > 1:
            y, mean, variance = normalise_groups(x, scale, bias, self.epsilon, groups=self.groups)
        else:
            y, mean, variance = normalise(x, scale, bias, self.epsilon)
        if not self.is_initializing():
            running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
            running_var.value = self.momentum * running_var.value + (1 - self.momentum) * variance
        return y
