"""Batch normalisation with the field's settings, in float32 whatever the network computes in.

Ioffe and Szegedy, Batch Normalization, ICML 2015. Under jit with the batch sharded, the statistics are those of the
whole batch on all devices: no axis name is needed.
"""

import flax.linen as nn
import jax


class BatchNorm(nn.Module):
    """[..., C] -> [..., C]; running statistics move by a tenth a step, as in PyTorch's `momentum=0.1`."""

    epsilon: float = 1e-5
    momentum: float = 0.9
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        norm = nn.BatchNorm(momentum=self.momentum, epsilon=self.epsilon, dtype=self.dtype)
        # flax would nest our names under its own; sharing the scope keeps `norm/scale` and `norm/mean`
        nn.share_scope(self, norm)
        return norm(x, use_running_average=not train)
