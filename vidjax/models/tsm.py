"""TSM: 2D ResNets and MobileNetV2 whose blocks shift some channels to neighbouring frames.

Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019, as in the
authors' code: the shift is in every block of a ResNet (in every second one of 101 layers) and in
those blocks of MobileNetV2 that have a shortcut. Clips have 8 frames there; the networks take any
number, and 16 is the paper's other one.
"""

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers import branch, checks, non_local
from vidjax.layers.mobilenet_v2 import STAGES, MobileNetV2
from vidjax.layers.resnet2d import NUM_STAGES, ResNet2D
from vidjax.layers.style import Style
from vidjax.ops.shift import DIRECTIONS, TemporalShift

# name: fields of Model
VARIANTS = {
    "tsm_r18_8f": {"trunk": "resnet", "depths": (2, 2, 2, 2), "bottleneck": False},
    "tsm_r50_8f": {"trunk": "resnet", "depths": (3, 4, 6, 3), "bottleneck": True},
    "tsm_r101_8f": {"trunk": "resnet", "depths": (3, 4, 23, 3), "bottleneck": True, "every": 2},
    "tsm_mobilenet_v2_8f": {"trunk": "mobilenet_v2"},
}
MAP = "features"  # the last endpoint with time and space

TRUNKS = ("resnet", "mobilenet_v2")
SHIFTS = ("residual", "in-place")


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` and so on, and `features`.

    All of them have T frames.

    Fields:
        trunk: the 2D network, one of TRUNKS.
        depths: blocks in each stage of a ResNet.
        bottleneck: whether a ResNet has bottlenecks or basic blocks.
        every: the first of so many blocks of a ResNet shifts.
        shift: "residual" shifts in the residual branch; "in-place" shifts ahead of the block, so
            that the shortcut loses what was moved.
        fraction: share of the channels that moves each way.
        direction: "bidirectional", or "one-directional", which reads past frames only. "auto" is
            the second in a causal style, and the first otherwise.
        stochastic_depth, squeeze_excite, non_local, remat_blocks: as in docs/knobs.md.
        width: scales all channels.
    """

    trunk: str = "resnet"
    depths: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
    every: int = 1
    shift: str = "residual"
    fraction: float = 0.125
    direction: str = "auto"
    stochastic_depth: float = 0.0
    squeeze_excite: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.one_of("trunk", self.trunk, TRUNKS)
        checks.depths("depths", self.depths, NUM_STAGES)
        checks.at_least("every", self.every, 1)
        checks.one_of("shift", self.shift, SHIFTS)
        checks.one_of("direction", self.direction, ("auto", *DIRECTIONS))
        direction = self._direction()
        if self.style.causal and direction == "bidirectional":
            raise UserError(
                "A bidirectional shift reads the next frame, so model.causal cannot be chosen with "
                "model.direction=bidirectional; leave it out, or say one-directional."
            )
        largest = 0.5 if direction == "bidirectional" else 1  # of two ways, or of one
        if not 0 <= self.fraction <= largest:
            raise UserError(
                f"model.fraction is {self.fraction}; "
                f"a {direction} shift moves 0 to {largest} of the channels each way."
            )
        checks.above_zero("width", self.width)
        branch.check(self.stochastic_depth, self.squeeze_excite)
        num_stages = NUM_STAGES if self.trunk == "resnet" else len(STAGES)
        non_local.check(self.non_local, num_stages)

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        mix = TemporalShift(self.fraction, self._direction())
        mix_shortcut = self.shift == "in-place"
        if self.trunk == "resnet":
            trunk = ResNet2D(
                self.depths,
                self.bottleneck,
                mix=mix,
                mix_shortcut=mix_shortcut,
                mix_every=self.every,
                stochastic_depth=self.stochastic_depth,
                squeeze_excite=self.squeeze_excite,
                non_local=self.non_local,
                remat_blocks=self.remat_blocks,
                width=self.width,
                style=self.style,
            )
        else:
            trunk = MobileNetV2(
                mix=mix,
                mix_shortcut=mix_shortcut,
                stochastic_depth=self.stochastic_depth,
                squeeze_excite=self.squeeze_excite,
                non_local=self.non_local,
                remat_blocks=self.remat_blocks,
                width=self.width,
                style=self.style,
            )
        nn.share_scope(self, trunk)  # keeps the trunk out of parameter paths
        return trunk(video, train=train)

    def _direction(self) -> str:
        if self.direction != "auto":
            return self.direction
        return "one-directional" if self.style.causal else "bidirectional"
