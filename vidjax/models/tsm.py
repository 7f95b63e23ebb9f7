"""Shift networks: 2D ResNets and MobileNetV2 whose blocks see the frames beside their own.

Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019, as in the authors' code: the shift
is in every block of a ResNet (every second one of 101 layers) and in those of MobileNetV2 that have a shortcut. Clips
have 8 frames there; the networks take any number, and 16 is the paper's other one.
"""

import flax.linen as nn
import jax

from vidjax.layers.mobilenet_v2 import MobileNetV2
from vidjax.layers.resnet2d import ResNet2D
from vidjax.ops.shift import TemporalShift

# name: fields of Model
VARIANTS = {
    "tsm_r18_8f": {"trunk": "resnet", "depths": (2, 2, 2, 2), "bottleneck": False},
    "tsm_r50_8f": {"trunk": "resnet", "depths": (3, 4, 6, 3), "bottleneck": True},
    "tsm_r101_8f": {"trunk": "resnet", "depths": (3, 4, 23, 3), "bottleneck": True, "every": 2},
    "tsm_mobilenet_v2_8f": {"trunk": "mobilenet_v2"},
}

TRUNKS = ("resnet", "mobilenet_v2")
SHIFTS = ("residual", "in-place")


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` and so on, and `features`, all with T frames.

    `shift` "residual" puts the shift into the branch, "in-place" ahead of the block, so that the shortcut loses what
    moved; `fraction` of the channels move each way, or with `direction` "one-directional" from the past only.
    `depths`, `bottleneck` and `every` (the first of so many blocks shifts) are those of a ResNet.
    """

    trunk: str = "resnet"
    depths: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
    every: int = 1
    shift: str = "residual"
    fraction: float = 0.125
    direction: str = "bidirectional"
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        for field, values in (("trunk", TRUNKS), ("shift", SHIFTS)):
            if getattr(self, field) not in values:
                raise ValueError(
                    f"{field} is {getattr(self, field)!r}; there are {', '.join(values)}"
                )
        common = {
            "mix": TemporalShift(self.fraction, self.direction),
            "mix_shortcut": self.shift == "in-place",
            "width": self.width,
            "dtype": self.dtype,
            "lowering": self.lowering,
        }
        if self.trunk == "resnet":
            trunk = ResNet2D(self.depths, self.bottleneck, mix_every=self.every, **common)
        else:
            trunk = MobileNetV2(**common)
        nn.share_scope(self, trunk)
        return trunk(video, train=train)
