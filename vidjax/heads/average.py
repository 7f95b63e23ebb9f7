"""One answer for the whole clip: average over time and space, dropout, a linear layer."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp


class Head(nn.Module):
    """endpoints["features"] [N, T, H, W, C] -> logits [N, num_classes], float32."""

    num_classes: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, endpoints: Mapping[str, jax.Array], *, train: bool) -> jax.Array:
        x = endpoints["features"].astype(jnp.float32).mean(axis=(1, 2, 3))  # [N, C]
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="logits")(
            x
        )
