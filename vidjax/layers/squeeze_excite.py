"""Squeeze and excitation over clips: a gate scales each channel, decided by the whole clip's mean.

Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, with the mean over time as well as space. In
a causal style the gate of a frame is decided by the mean of this frame and those before it.
"""

import flax.linen as nn
import jax

from vidjax.layers.style import Style
from vidjax.ops.mean import mean_so_far
from vidjax.ops.pool import global_avg_pool


class SqueezeExcite(nn.Module):
    """Multiplies each channel by a gate in (0, 1): [N, T, H, W, C] -> the same shape.

    The gate is the mean, a dense layer to `reduced` channels, ReLU, a dense layer back and a
    sigmoid. These two activations belong to the gate and are no choice of the style.
    """

    reduced: int
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dtype = self.style.dtype
        if self.style.causal:
            gate = mean_so_far(self, x)  # [N, T, 1, 1, C]
        else:
            gate = global_avg_pool(x)  # [N, 1, 1, 1, C]
        gate = nn.relu(nn.Dense(self.reduced, dtype=dtype, name="reduce")(gate))
        gate = nn.sigmoid(nn.Dense(x.shape[-1], dtype=dtype, name="expand")(gate))
        return x * gate  # broadcast over space, and over time where it has one mean
