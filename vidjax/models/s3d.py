"""S3D: Inception-v1 over clips whose larger kernels are a convolution in space, then one in time.

Xie et al., Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video
Classification, ECCV 2018. This is torchvision's network: it has no feature gating (the paper's
S3D-G), and pads as PyTorch does. Departs from it in the momentum of running statistics, 0.9 here
and 0.999 there.
"""

import flax.linen as nn
import jax

from vidjax.layers import checks
from vidjax.layers.inception import Inception, check_knobs
from vidjax.layers.style import Style, refuse_causal, refuse_zero_init_last

# name: fields of Model
VARIANTS = {"s3d": {}}
MAP = "stage4"  # the last endpoint with time and space

EPSILON = 1e-3  # of every normalisation, as in torchvision


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    Time halves in the stem and ahead of stages 3 and 4, space in all these places and ahead of
    stages 1 and 2. `features` are means over 2x7x7 positions, [N, T/8 - 1, H/32 - 6, W/32 - 6, C].
    `width` scales all channels; docs/knobs.md describes the fields ahead of it.
    """

    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        check_knobs(self)
        refuse_zero_init_last(self.style, "S3D")
        refuse_causal(self.style, "S3D", "it pools over time")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        trunk = Inception(
            separable=True,
            padding="half",
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
