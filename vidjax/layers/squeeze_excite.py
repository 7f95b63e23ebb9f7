"""Squeeze and excitation over clips: every channel is scaled by a gate that the mean over the whole clip decides.

Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, with the mean over time as well as over space.
"""

import flax.linen as nn
import jax

from vidjax.ops.pool import global_avg_pool


class SqueezeExcite(nn.Module):
    """Mean, a linear layer to `reduced` channels, ReLU, a linear layer back, sigmoid: [N, T, H, W, C] -> the same."""

    reduced: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        gate = global_avg_pool(x)  # [N, 1, 1, 1, C]
        gate = nn.relu(nn.Dense(self.reduced, dtype=self.dtype, name="reduce")(gate))
        gate = nn.sigmoid(nn.Dense(x.shape[-1], dtype=self.dtype, name="expand")(gate))
        return x * gate
