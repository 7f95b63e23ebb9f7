"""Attention: each query takes a mean of the values, weighted by a softmax over the keys.

Vaswani et al., Attention Is All You Need, NIPS 2017, equation 1.
"""

import jax
import jax.numpy as jnp


def attention(
    queries: jax.Array, keys: jax.Array, values: jax.Array, *, scale: float | None = None
) -> jax.Array:
    """softmax(scale * queries keys^T) values, with the softmax in float32.

    Args:
        queries: [N, P, D].
        keys: [N, M, D].
        values: [N, M, E].
        scale: multiplies the logits; by default 1 / sqrt(D), which keeps their variance.

    Returns:
        [N, P, E] of the values' type.
    """
    if scale is None:
        scale = queries.shape[-1] ** -0.5
    logits = jnp.einsum("npd,nmd->npm", queries, keys, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(scale * logits, axis=-1)  # [N, P, M], float32
    return jnp.einsum("npm,nme->npe", weights.astype(values.dtype), values)
