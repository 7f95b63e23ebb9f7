"""Channel-separated networks: bottlenecks with a depthwise 3x3x3 kernel, 50 to 152 layers deep.

Tran et al., Video Classification with Channel-Separated Convolutional Networks, ICCV 2019, figure 2
and table 2. The interaction-reduced ones (ir) mix channels only in a bottleneck's two 1x1x1
convolutions; the interaction-preserved ones (ip) have one more of these ahead of the depthwise
convolution, with a normalisation and no activation between the two, as in the authors' code.
csn_r101 is pytorchvideo's. Every epsilon is 1e-5, which is pytorchvideo's; the authors' is 1e-3.
csn_r14, with one block a stage, is for small machines; it is not in the paper.
"""

import flax.linen as nn
import jax

from vidjax.layers import branch, checks, non_local, temporal
from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.residual import Bottleneck
from vidjax.layers.style import Style
from vidjax.layers.widths import scaled
from vidjax.ops.pool import max_pool

_14, _50, _101, _152 = (1, 1, 1, 1), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)

# name: fields of Model
VARIANTS = {
    "csn_r14": {"depths": _14},
    "csn_r50": {"depths": _50},
    "csn_r101": {"depths": _101},
    "csn_r152": {"depths": _152},
    "csn_ip_r50": {"depths": _50, "preserved": True},
    "csn_ip_r101": {"depths": _101, "preserved": True},
    "csn_ip_r152": {"depths": _152, "preserved": True},
}
MAP = "stage4"  # the last endpoint with time and space


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem` (pooled), `stage1` to `stage4`, and `features`.

    `features` is the last stage. Space halves in the stem, in its pooling and in stages 2 to 4,
    time in those stages. With `preserved` it is an ip network, without it an ir one. `width` scales
    all channels. docs/knobs.md describes the fields from `temporal_kernels` to `remat_blocks`.
    """

    depths: tuple[int, ...] = _50
    preserved: bool = False
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    stochastic_depth: float = 0.0
    squeeze_excite: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        checks.depths("depths", self.depths, 4)
        temporal.check(self, (True,) * 5)
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, 4)

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        time = temporal.of_stage(self, 0)
        stem = ConvNorm(
            scaled(64, self.width),
            time.kernel((3, 7, 7)),
            time.step((1, 2, 2)),
            dilation=time.dilation,
            style=style,
            name="stem",
        )
        x = style.activate(stem(video, train=train))
        x = max_pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        endpoints = {"stem": x}
        rates = branch.drop_rates(self.stochastic_depth, self.depths)
        for stage, depth in enumerate(self.depths, start=1):
            inner = scaled(32 * 2**stage, self.width)  # 64 in stage 1, then twice as many
            time = temporal.of_stage(self, stage)
            for block in range(1, depth + 1):
                stride = (2, 2, 2) if stage > 1 else (1, 1, 1)
                bottleneck = Bottleneck(
                    scaled(128 * 2**stage, self.width),
                    inner,
                    kernels=((1, 1, 1), time.kernel((3, 3, 3)), (1, 1, 1)),
                    stride=time.step(stride) if block == 1 else (1, 1, 1),
                    dilation=time.dilation,
                    groups=inner,  # depthwise
                    lead=(1, 1, 1) if self.preserved else None,
                    lead_activation=False,  # the next convolution is the other half of a pair
                    squeeze_excite=self.squeeze_excite,
                    drop_rate=rates[stage - 1][block - 1],
                    style=style,
                    name=f"stage{stage}_block{block}",
                )
                x = run_block(bottleneck, x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
        endpoints["features"] = x
        return endpoints
