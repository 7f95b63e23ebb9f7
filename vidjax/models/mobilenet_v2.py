"""MobileNetV2 for images, of any width; a clip goes through frame by frame.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2. `mobilenet_v2` is
torchvision's network; with a width in its name (0.35 to 1.4) and in `_keras` a variant has the padding and the epsilon
of Keras. The batch statistics' momentum is 0.9 in all of them, where Keras has 0.999.
"""

import flax.linen as nn
import jax

from vidjax.layers.mobilenet_v2 import MobileNetV2

_KERAS = {"padding": "SAME", "epsilon": 1e-3}

# name: fields of Model
VARIANTS = {
    "mobilenet_v2": {"padding": "half", "epsilon": 1e-5},
    "mobilenet_v2_keras": _KERAS,
    "mobilenet_v2_035": {"alpha": 0.35, **_KERAS},
    "mobilenet_v2_050": {"alpha": 0.5, **_KERAS},
    "mobilenet_v2_075": {"alpha": 0.75, **_KERAS},
    "mobilenet_v2_130": {"alpha": 1.3, **_KERAS},
    "mobilenet_v2_140": {"alpha": 1.4, **_KERAS},
}


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] or images [N, H, W, C] -> `stem`, `stage1` to `stage7`, and `features`, the last layer.

    Endpoints are [N, T, H, W, C]; an image has T = 1. Channels are scaled by `alpha`, which is the variant's, times
    `width`, to multiples of eight; the last layer never has fewer than 1280.
    """

    alpha: float = 1.0
    padding: str = "half"
    epsilon: float = 1e-5
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        common = {"width": self.alpha * self.width, "dtype": self.dtype, "lowering": self.lowering}
        trunk = MobileNetV2(self.padding, self.epsilon, **common)
        nn.share_scope(self, trunk)
        return trunk(video, train=train)
