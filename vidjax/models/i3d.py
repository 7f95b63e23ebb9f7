"""I3D: Inception-v1 with its kernels inflated to cubes, for colour or for optical flow.

Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR 2017, figure 3.
Departs from it in `momentum`, the share of the old running statistics a step keeps: theirs forget a thousandth.
The two streams of the paper are two of these, trained apart, whose logits are added.
"""

import functools

import flax.linen as nn
import jax

from vidjax.layers import inception

# name: fields of Model
VARIANTS = {"i3d_inception": {"in_channels": 3}, "i3d_inception_flow": {"in_channels": 2}}

PADDING = "SAME"  # of every convolution and maximum, as in TensorFlow


class Model(nn.Module):
    """Backbone: [N, T, H, W, in_channels] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    Time halves in the stem and before stages 3 and 4, space before stages 1 and 2, too. `features` are means over two
    steps in time and 7x7 in space, [N, T/8 - 1, H/32 - 6, W/32 - 6, C]: at 224x224 the published logits of each step
    are a linear layer of them. `width` scales all channels. Raises ValueError for a clip of other than `in_channels`.
    """

    in_channels: int = 3
    width: float = 1.0
    epsilon: float = 1e-3
    momentum: float = 0.9
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        if video.shape[-1] != self.in_channels:
            raise ValueError(
                f"this I3D takes clips of in_channels={self.in_channels}, and these have {video.shape[-1]}; "
                "i3d_inception takes colour (3), i3d_inception_flow optical flow (2)"
            )
        unit = functools.partial(
            inception.Unit,
            padding=PADDING,
            epsilon=self.epsilon,
            momentum=self.momentum,
            dtype=self.dtype,
            lowering=self.lowering,
        )
        return inception.trunk(video, unit, padding=PADDING, width=self.width, train=train)
