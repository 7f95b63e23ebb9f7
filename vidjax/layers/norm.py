"""Normalisation as a choice: batch, frozen batch, group or layer, with the same parameter paths.

Each has a `scale` and a `bias` per channel; running statistics exist for the first two only.
"""

import flax.linen as nn
import jax

from vidjax.layers.style import Style
from vidjax.ops.norm import BatchNorm

EPSILON = 1e-5  # as in PyTorch, where neither the user nor the family chooses
MOMENTUM = 0.9  # share of the running statistics kept; PyTorch's momentum=0.1
MAX_GROUPS = 32  # Wu and He, Group Normalization, ECCV 2018
MIN_GROUP_CHANNELS = 4  # fewer would normalise narrow networks almost channel by channel


def num_groups(channels: int) -> int:
    """The most groups up to MAX_GROUPS that divide the channels and leave each group enough."""
    for groups in range(min(MAX_GROUPS, channels // MIN_GROUP_CHANNELS), 1, -1):
        if channels % groups == 0:
            return groups
    return 1


class Norm(nn.Module):
    """The normalisation that a style names: [N, T, H, W, C] -> the same shape.

    - "batch", the default: statistics of the batch in training, or of each of `batch_groups` groups
      of its clips; running ones in evaluation.
    - "frozen": running statistics in training, too; neither they nor scale and bias change, since
      no gradient flows into them. For training from published weights with small batches.
    - "group": statistics of each clip over time, space and a group of neighbouring channels; in a
      causal style, of each frame.
    - "layer": statistics over the channels of each position (Ba et al., Layer Normalization, 2016).

    The last two compute the same in training and in evaluation, whatever the batch.
    """

    style: Style = Style()
    zero_scale: bool = False  # starts the scale at zero

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        kind = self.style.norm or "batch"
        epsilon = EPSILON if self.style.epsilon is None else self.style.epsilon
        if kind in ("batch", "frozen"):
            momentum = MOMENTUM if self.style.momentum is None else self.style.momentum
            batch_norm = BatchNorm(
                epsilon=epsilon,
                momentum=momentum,
                dtype=self.style.dtype,
                frozen=kind == "frozen",
                groups=self.style.batch_groups,
                zero_scale=self.zero_scale,
            )
            nn.share_scope(self, batch_norm)  # its parameters have no name of their own in the path
            return batch_norm(x, train=train)
        # Flax's modules name their parameters as BatchNorm does, and sum in float32.
        scale_init = nn.initializers.zeros if self.zero_scale else nn.initializers.ones
        if kind == "group":
            # None is all axes but the first.
            axes = (2, 3, 4) if self.style.causal else None
            norm = nn.GroupNorm(
                num_groups=num_groups(x.shape[-1]),
                reduction_axes=axes,
                epsilon=epsilon,
                dtype=self.style.dtype,
                scale_init=scale_init,
            )
        else:
            norm = nn.LayerNorm(epsilon=epsilon, dtype=self.style.dtype, scale_init=scale_init)
        nn.share_scope(self, norm)
        return norm(x)
