"""A light temporal transformer over the features of each frame, for the clip or every frame.

Blocks with the normalisation ahead of attention and perceptron (Xiong et al., On Layer
Normalization in the Transformer Architecture, ICML 2020). Positions are learned for a fixed number
of time steps and interpolated to as many as a clip has, so that parameters fit clips of any length.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.layers.endpoints import frame_features
from vidjax.layers.resize import resize_axis, time_kind
from vidjax.layers.style import Style

NEEDS = ("time",)
OUTPUTS = ("mean", "every")


class Head(nn.Module):
    """The map [N, T', H', W', C] -> logits [N, num_classes], or [N, T, num_classes] with "every".

    Fields:
        num_classes: number of logits.
        width: of the tokens, one for each time step.
        layers: number of blocks.
        attention_heads: parts of the tokens that attend apart from each other; divides the width.
        positions: time steps whose positions are learned.
        output: "mean" answers from the mean of all tokens, "every" for each of the T frames.
        dropout: of attention weights and behind each part of a block, in training.
    """

    num_classes: int
    width: int = 256
    layers: int = 2
    attention_heads: int = 4
    positions: int = 16
    output: str = "mean"
    dropout: float = 0.0
    map_name: str = "features"
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        for field in ("width", "layers", "attention_heads", "positions"):
            checks.at_least(field, getattr(self, field), 1, room="head")
        checks.one_of("output", self.output, OUTPUTS, room="head")
        checks.share("dropout", self.dropout, room="head")
        if self.width % self.attention_heads:
            raise UserError(
                f"head.attention_heads is {self.attention_heads}, which does not divide the width "
                f"{self.width}."
            )

    @property
    def answers(self) -> str:
        """ "frames" with the output "every", else "clip"."""
        return "frames" if self.output == "every" else "clip"

    @nn.compact
    def __call__(
        self,
        endpoints: Mapping[str, jax.Array],
        *,
        clip_shape: tuple[int, int, int],
        train: bool,
    ) -> jax.Array:
        x = frame_features(endpoints, self.map_name)  # [N, T', C]
        num_steps = x.shape[1]
        x = nn.Dense(self.width, name="project")(x)
        init = nn.initializers.normal(0.02)
        positions = self.param("positions", init, (self.positions, self.width))
        x = x + resize_axis(positions, 0, num_steps)  # [N, T', width]
        mask = None
        if self.style.causal:
            mask = jnp.tril(jnp.ones((1, 1, num_steps, num_steps), bool))  # the past alone
        for number in range(1, self.layers + 1):
            x = self._block(x, mask, number=number, train=train)
        x = nn.LayerNorm(name="norm")(x)
        if self.output == "mean":
            x = x.mean(axis=1)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        logits = nn.Dense(self.num_classes, kernel_init=init, name="logits")(x)
        if self.output == "every":
            return resize_axis(logits, 1, clip_shape[0], kind=time_kind(self.style))
        return logits

    def _block(self, x, mask, *, number, train):
        """Attention over time, then a perceptron at each step: [N, T', width] -> the same."""
        name = f"block{number}"
        y = nn.LayerNorm(name=f"{name}_norm1")(x)
        attention = nn.MultiHeadDotProductAttention(
            self.attention_heads,
            dropout_rate=self.dropout,
            deterministic=not train,
            name=f"{name}_attention",
        )
        y = attention(y, y, mask=mask)
        x = x + nn.Dropout(self.dropout, deterministic=not train)(y)
        y = nn.LayerNorm(name=f"{name}_norm2")(x)
        y = nn.gelu(nn.Dense(2 * self.width, name=f"{name}_expand")(y))
        y = nn.Dense(self.width, name=f"{name}_reduce")(y)
        return x + nn.Dropout(self.dropout, deterministic=not train)(y)
