"""S3D: Inception-v1 over clips whose larger kernels are a convolution in space, then one in time.

Xie et al., Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video Classification, ECCV 2018.
The network of torchvision: it has no feature gating (the paper's S3D-G), and pads as PyTorch does.
Departs from it in `momentum`, the share of the old running statistics a step keeps: theirs forget a thousandth.
"""

import functools

import flax.linen as nn
import jax

from vidjax.layers import inception

# name: fields of Model
VARIANTS = {"s3d": {}}


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    Time halves in the stem and before stages 3 and 4, space before stages 1 and 2, too. `features` are means over two
    steps in time and 7x7 in space, [N, T/8 - 1, H/32 - 6, W/32 - 6, C]. `width` scales all channels.
    """

    width: float = 1.0
    epsilon: float = 1e-3
    momentum: float = 0.9
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        unit = functools.partial(
            inception.Unit,
            separable=True,
            epsilon=self.epsilon,
            momentum=self.momentum,
            dtype=self.dtype,
            lowering=self.lowering,
        )
        return inception.trunk(video, unit, padding="", width=self.width, train=train)
