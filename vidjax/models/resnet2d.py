"""ResNets for images, 18 to 101 layers deep; a clip goes through them frame by frame.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1, as in torchvision. With
the head `average` a clip's logits are the mean of its frames': a temporal segment network (Wang et
al., ECCV 2016), which ignores their order.
"""

import flax.linen as nn
import jax

from vidjax.layers import branch, checks, non_local
from vidjax.layers.resnet2d import NUM_STAGES, ResNet2D
from vidjax.layers.style import Style

# name: fields of Model
VARIANTS = {
    "resnet18": {"depths": (2, 2, 2, 2), "bottleneck": False},
    "resnet34": {"depths": (3, 4, 6, 3), "bottleneck": False},
    "resnet50": {"depths": (3, 4, 6, 3), "bottleneck": True},
    "resnet101": {"depths": (3, 4, 23, 3), "bottleneck": True},
}
MAP = "stage4"  # the last endpoint with time and space


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] or images [N, H, W, C] -> `stem`, `stage1` to `stage4`, `features`.

    Endpoints are [N, T, H, W, C]; an image has T = 1. `stem` includes its pooling, `features` is
    the last stage. `width` scales all channels. docs/knobs.md describes the fields from
    `stochastic_depth` to `remat_blocks`.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
    stochastic_depth: float = 0.0
    squeeze_excite: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        checks.depths("depths", self.depths, NUM_STAGES)
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, NUM_STAGES)

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        trunk = ResNet2D(
            self.depths,
            self.bottleneck,
            stochastic_depth=self.stochastic_depth,
            squeeze_excite=self.squeeze_excite,
            non_local=self.non_local,
            remat_blocks=self.remat_blocks,
            width=self.width,
            style=self.style,
        )
        nn.share_scope(self, trunk)  # keeps the trunk out of parameter paths
        return trunk(video, train=train)
