"""I3D: Inception-v1 with its kernels inflated to cubes, for colour or for optical flow.

Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR
2017, figure 3. Departs from it in the momentum of running statistics, 0.9 here and 0.999 there.
The two streams of the paper are two of these, trained apart, whose logits are added.
"""

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.layers.inception import Inception, check_knobs
from vidjax.layers.style import Style, refuse_causal, refuse_zero_init_last

# name: fields of Model
VARIANTS = {"i3d_inception": {"in_channels": 3}, "i3d_inception_flow": {"in_channels": 2}}
MAP = "stage4"  # the last endpoint with time and space

EPSILON = 1e-3  # of every normalisation, as in the authors' Sonnet code


class Model(nn.Module):
    """Backbone: [N, T, H, W, in_channels] -> endpoints `stem`, `stage1` to `stage4`, `features`.

    Time halves in the stem and ahead of stages 3 and 4, space in all these places and ahead of
    stages 1 and 2. `features` are means over 2x7x7 positions, [N, T/8 - 1, H/32 - 6, W/32 - 6, C]:
    at 224x224 the published logits of each step are a linear layer of them. `width` scales all
    channels; docs/knobs.md describes the fields ahead of it. Raises UserError for a clip of other
    than `in_channels`.
    """

    in_channels: int = 3
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("in_channels", self.in_channels, 1)
        checks.above_zero("width", self.width)
        check_knobs(self)
        refuse_zero_init_last(self.style, "I3D")
        refuse_causal(self.style, "I3D", "it pools over time")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        channels = video.shape[-1]
        if channels != self.in_channels:
            raise UserError(
                f"this I3D takes clips of in_channels={self.in_channels}, and these have "
                f"{channels}; i3d_inception takes colour (3), i3d_inception_flow optical flow (2)."
            )
        trunk = Inception(
            separable=False,
            padding="SAME",  # as in TensorFlow
            temporal_kernels=self.temporal_kernels,
            temporal_strides=self.temporal_strides,
            temporal_dilations=self.temporal_dilations,
            non_local=self.non_local,
            remat_blocks=self.remat_blocks,
            width=self.width,
            style=self.style.with_defaults(epsilon=EPSILON),
        )
        nn.share_scope(self, trunk)  # keeps the trunk out of parameter paths
        return trunk(video, train=train)
