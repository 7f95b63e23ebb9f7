"""Learned queries that attend over all places of the features: a probe for frozen backbones.

The attentive probe of Bardes et al., Revisiting Feature Prediction for Learning Visual
Representations from Video, 2024: cross-attention from a query to every position of the features, a
residual perceptron, a linear layer. It finds what an average over the clip would wash out.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.core.errors import UserError
from vidjax.layers import checks

NEEDS = ()


class Head(nn.Module):
    """The map [N, T', H', W', C] -> logits [N, num_classes], float32.

    Fields:
        num_classes: number of logits.
        queries: how many; their answers are averaged before the linear layer.
        width: of queries, keys and values.
        attention_heads: parts of the width that attend apart from each other; divides it.
        dropout: of attention weights and of the features that the linear layer reads, in training.
    """

    num_classes: int
    queries: int = 1
    width: int = 256
    attention_heads: int = 4
    dropout: float = 0.0
    map_name: str = "features"

    answers = "clip"

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        for field in ("queries", "width", "attention_heads"):
            checks.at_least(field, getattr(self, field), 1, room="head")
        checks.share("dropout", self.dropout, room="head")
        if self.width % self.attention_heads:
            raise UserError(
                f"head.attention_heads is {self.attention_heads}, which does not divide the width "
                f"{self.width}."
            )

    @nn.compact
    def __call__(
        self,
        endpoints: Mapping[str, jax.Array],
        *,
        clip_shape: tuple[int, int, int],
        train: bool,
    ) -> jax.Array:
        """Does not read `clip_shape`, the T, H and W of the input clip."""
        x = endpoints[self.map_name].astype(jnp.float32)
        x = x.reshape(x.shape[0], -1, x.shape[-1])  # [N, T'*H'*W', C]
        x = nn.LayerNorm(name="norm_places")(x)
        queries = self.param("queries", nn.initializers.normal(0.02), (self.queries, self.width))
        queries = jnp.broadcast_to(queries, (x.shape[0], *queries.shape))  # [N, Q, width]
        attention = nn.MultiHeadDotProductAttention(
            self.attention_heads,
            qkv_features=self.width,
            out_features=self.width,
            dropout_rate=self.dropout,
            deterministic=not train,
            name="attention",
        )
        x = queries + attention(queries, x)  # [N, Q, width]
        y = nn.LayerNorm(name="norm")(x)
        y = nn.gelu(nn.Dense(2 * self.width, name="expand")(y))
        x = x + nn.Dense(self.width, name="reduce")(y)
        x = x.mean(axis=1)  # [N, width]
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        return nn.Dense(self.num_classes, kernel_init=init, name="logits")(x)
