"""The non-local block: each position of a clip takes a weighted mean over all positions.

Wang et al., Non-local Neural Networks, CVPR 2018, section 3: embedded Gaussian weights, half the
channels inside, keys and values pooled by 1x2x2 (section 3.3), and a last normalisation whose scale
starts at zero, so that the block is the identity at first. As in the published code, and not in the
text, the weights have the scale 1 / sqrt(inner channels), and the linear layers have biases.
A network has the blocks behind the last block of the stages that its field `non_local` names. The
paper's stand just ahead of the last block; the published networks with five have some of each kind.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers.norm import Norm
from vidjax.layers.style import Style
from vidjax.ops.attention import attention
from vidjax.ops.pool import max_pool

POOL = (1, 2, 2)  # of keys and values, which leaves a quarter of them


class NonLocal(nn.Module):
    """x plus a function of all positions of x: [N, T, H, W, C] -> the same shape.

    Without `use_norm`, for networks that have none, the last linear layer starts at zero instead.
    """

    use_norm: bool = True
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        channels = x.shape[-1]
        inner = max(1, channels // 2)
        pooled = max_pool(x, POOL)  # [N, T, H/2, W/2, C]
        queries = self._linear(x, inner, name="query")
        keys = self._linear(pooled, inner, name="key")
        values = self._linear(pooled, inner, name="value")
        y = attention(flat(queries), flat(keys), flat(values))  # [N, T*H*W, inner]
        y = y.reshape(*x.shape[:4], inner)  # [N, T, H, W, inner]
        # Without a norm behind it, this layer is what makes the block the identity at first.
        y = self._linear(y, channels, name="out", zero=not self.use_norm)
        if self.use_norm:
            y = Norm(style=self.style, zero_scale=True, name="norm")(y, train=train)
        return x + y

    def _linear(self, x: jax.Array, features: int, *, name: str, zero: bool = False) -> jax.Array:
        """A 1x1x1 convolution, [N, T, H, W, C] -> [N, T, H, W, features]."""
        start = nn.initializers.zeros if zero else nn.initializers.lecun_normal()
        return nn.Dense(features, kernel_init=start, dtype=self.style.dtype, name=name)(x)


def flat(x: jax.Array) -> jax.Array:
    """All positions of a clip on one axis: [N, T, H, W, C] -> [N, T*H*W, C]."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def check(stages: Sequence[int], num_stages: int) -> None:
    """Refuses stages that the network does not have, and one that is named twice: a UserError."""
    for stage in stages:
        if not 1 <= stage <= num_stages:
            raise UserError(
                f"model.non_local has the entry {stage}; the stages here are 1 to {num_stages}."
            )
    if len(set(stages)) != len(stages):
        raise UserError(f"model.non_local is {tuple(stages)}; each stage stands in it once.")
