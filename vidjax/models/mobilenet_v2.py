"""MobileNetV2 for images, of any width; a clip goes through it frame by frame.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2.
`mobilenet_v2` is torchvision's network; variants with a width in their name (0.35 to 1.4) and
`mobilenet_v2_keras` have the padding and the epsilon of Keras. The momentum of running statistics
is 0.9 in all of them, where Keras has 0.999.
"""

import flax.linen as nn
import jax

from vidjax.layers import branch, checks, non_local
from vidjax.layers.mobilenet_v2 import PADDINGS, STAGES, MobileNetV2
from vidjax.layers.style import Style

_KERAS = {"padding": "SAME", "epsilon": 1e-3}

# name: fields of Model and of its style
VARIANTS = {
    "mobilenet_v2": {"padding": "half", "epsilon": 1e-5},
    "mobilenet_v2_keras": _KERAS,
    "mobilenet_v2_035": {"alpha": 0.35, **_KERAS},
    "mobilenet_v2_050": {"alpha": 0.5, **_KERAS},
    "mobilenet_v2_075": {"alpha": 0.75, **_KERAS},
    "mobilenet_v2_130": {"alpha": 1.3, **_KERAS},
    "mobilenet_v2_140": {"alpha": 1.4, **_KERAS},
}
MAP = "features"  # the last endpoint with time and space


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] or images [N, H, W, C] -> `stem`, `stage1` to `stage7`, `features`.

    Endpoints are [N, T, H, W, C]; an image has T = 1. `features` is the last layer. Channels are
    scaled by `alpha`, which belongs to the variant, times `width`, to multiples of eight; the last
    layer never has fewer than 1280. docs/knobs.md describes the fields from `stochastic_depth` to
    `remat_blocks`.
    """

    alpha: float = 1.0
    padding: str = "half"
    stochastic_depth: float = 0.0
    squeeze_excite: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.one_of("padding", self.padding, PADDINGS)
        checks.above_zero("alpha", self.alpha)
        checks.above_zero("width", self.width)
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, len(STAGES))

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        trunk = MobileNetV2(
            self.padding,
            stochastic_depth=self.stochastic_depth,
            squeeze_excite=self.squeeze_excite,
            non_local=self.non_local,
            remat_blocks=self.remat_blocks,
            width=self.alpha * self.width,
            style=self.style,
        )
        nn.share_scope(self, trunk)  # keeps the trunk out of parameter paths
        return trunk(video, train=train)
