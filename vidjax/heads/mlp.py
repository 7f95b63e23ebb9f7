"""One answer for the whole clip: a mean or maximum over the clip, hidden layers, a linear layer.

With the maximum and two hidden layers of 4096 it is the temporal pooling "Conv Pooling" of Ng et
al., Beyond Short Snippets, CVPR 2015, section 3.1.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers import checks
from vidjax.layers.norm import Norm
from vidjax.layers.style import ACTIVATIONS, Style
from vidjax.ops.mean import mean_over_clip

NORMS = ("", "batch", "layer")  # "" is none


def max_over_clip(module: nn.Module, x: jax.Array) -> jax.Array:
    """The largest value over time and space: [N, T, H, W, C] -> [N, 1, 1, 1, C]."""
    return x.max(axis=(1, 2, 3), keepdims=True)


POOLS = {"mean": mean_over_clip, "max": max_over_clip}  # over time and space


class Head(nn.Module):
    """endpoints["features"] [N, T, H, W, C] -> logits [N, num_classes], float32.

    Fields:
        num_classes: number of logits.
        pool: what is taken over time and space, "mean" or "max".
        hidden: width of each hidden layer.
        norm: behind each hidden layer: "batch", "layer", or "" for none.
        dropout: behind the activation of each hidden layer, in training.
        activation: a name in `layers.style.ACTIVATIONS`.
    """

    num_classes: int
    pool: str = "mean"
    hidden: tuple[int, ...] = (256,)
    norm: str = ""
    dropout: float = 0.0
    activation: str = "relu"

    answers = "clip"

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        checks.one_of("pool", self.pool, tuple(POOLS), room="head")
        checks.not_empty("hidden", self.hidden, room="head")
        checks.sizes("hidden", self.hidden, room="head")
        checks.one_of("norm", self.norm, NORMS, room="head")
        checks.share("dropout", self.dropout, room="head")
        checks.one_of("activation", self.activation, tuple(ACTIVATIONS), room="head")

    @property
    def STREAMS(self) -> bool:  # noqa: N802
        """Whether it answers at each frame of a stream."""
        return self.pool == "mean"

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
        x = POOLS[self.pool](self, x)[:, 0, 0, 0]  # [N, C]
        he = nn.initializers.he_normal()
        for number, width in enumerate(self.hidden, start=1):
            x = nn.Dense(width, kernel_init=he, name=f"hidden{number}")(x)
            if self.norm:
                x = Norm(style=Style(norm=self.norm), name=f"norm{number}")(x, train=train)
            x = ACTIVATIONS[self.activation](x)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        return nn.Dense(self.num_classes, kernel_init=init, name="logits")(x)
