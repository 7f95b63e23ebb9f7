"""ResNets for images, 18 to 101 layers deep; a clip goes through frame by frame.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1, as in torchvision. Under the clip head a
clip's logits are the mean of its frames': a temporal segment network (Wang et al., ECCV 2016), blind to their order.
"""

import flax.linen as nn
import jax

from vidjax.layers.resnet2d import ResNet2D

# name: fields of Model
VARIANTS = {
    "resnet18": {"depths": (2, 2, 2, 2), "bottleneck": False},
    "resnet34": {"depths": (3, 4, 6, 3), "bottleneck": False},
    "resnet50": {"depths": (3, 4, 6, 3), "bottleneck": True},
    "resnet101": {"depths": (3, 4, 23, 3), "bottleneck": True},
}


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] or images [N, H, W, C] -> `stem`, `stage1` to `stage4`, and `features`, their last.

    Endpoints are [N, T, H, W, C]; an image has T = 1. `stem` is what comes out of the pooling. `width` scales channels.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        common = {"width": self.width, "dtype": self.dtype, "lowering": self.lowering}
        trunk = ResNet2D(self.depths, self.bottleneck, **common)
        nn.share_scope(self, trunk)
        return trunk(video, train=train)
