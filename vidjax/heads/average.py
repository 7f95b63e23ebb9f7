"""One answer for the whole clip: the average over time and space, dropout, a linear layer."""

from collections.abc import Mapping
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers import checks
from vidjax.ops.mean import mean_over_clip


class Head(nn.Module):
    """endpoints["features"] [N, T, H, W, C] -> logits [N, num_classes], float32."""

    STREAMS: ClassVar[bool] = True  # it answers at each frame of a stream

    num_classes: int
    dropout: float = 0.0  # of the averaged features, in training

    answers = "clip"

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        checks.share("dropout", self.dropout, room="head")

    @nn.compact
    def __call__(
        self,
        endpoints: Mapping[str, jax.Array],
        *,
        clip_shape: tuple[int, int, int],
        train: bool,
    ) -> jax.Array:
        """Does not read `clip_shape`, the T, H and W of the input clip."""
        # In float32 whatever the backbone computes in: a mean of many values, and the loss is next.
        x = endpoints["features"].astype(jnp.float32)
        x = mean_over_clip(self, x)[:, 0, 0, 0]  # [N, C]
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        return nn.Dense(self.num_classes, kernel_init=init, name="logits")(x)
