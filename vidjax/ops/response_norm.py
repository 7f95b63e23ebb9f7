"""Normalisation of a response by those of neighbouring channels, in float32 whatever the network computes in."""

import jax
import jax.numpy as jnp


def local_response_norm(
    x: jax.Array, *, size: int = 5, offset: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> jax.Array:
    """x / (offset + alpha * sum of squares over `size` channels around)^beta: [..., C] -> [..., C].

    Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012, section 3.3. `alpha`
    multiplies the sum as there; PyTorch and Caffe multiply the mean, so theirs is `size` times this one.
    """
    wide = x.astype(jnp.float32)
    channels, before = x.shape[-1], size // 2
    squares = jnp.pad(wide**2, [(0, 0)] * (x.ndim - 1) + [(before, size - 1 - before)])
    total = sum(squares[..., i : i + channels] for i in range(size))
    return (wide / (offset + alpha * total) ** beta).astype(x.dtype)
