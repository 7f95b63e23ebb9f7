"""Local response normalisation over neighbouring channels, computed in float32."""

import jax
import jax.numpy as jnp


def local_response_norm(
    x: jax.Array, *, size: int = 5, offset: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> jax.Array:
    """Divides each value by (offset + alpha * sum of squares)^beta: [..., C] -> [..., C].

    Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012,
    section 3.3. As in the paper, `alpha` multiplies the sum of squares. PyTorch and Caffe multiply
    their mean, so an alpha of theirs is `size` times the one to give here.

    Args:
      x: activations; the last axis is the channels.
      size: number of neighbouring channels in the sum, the channel itself among them.
      offset: k in the paper.
      alpha: weight of the sum of squares.
      beta: exponent.
    """
    x32 = x.astype(jnp.float32)
    channels = x.shape[-1]
    before = size // 2
    after = size - 1 - before
    padding = [(0, 0)] * (x.ndim - 1) + [(before, after)]
    squares = jnp.pad(x32**2, padding)  # [..., C + size - 1]
    total = sum(squares[..., i : i + channels] for i in range(size))
    return (x32 / (offset + alpha * total) ** beta).astype(x.dtype)
