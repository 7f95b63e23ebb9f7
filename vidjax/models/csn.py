"""Channel-separated networks: bottlenecks whose 3x3x3 kernel sees one channel, 50, 101 and 152 layers deep.

Tran et al., Video Classification with Channel-Separated Convolutional Networks, ICCV 2019, figure 2 and table 2. The
interaction-reduced ones (ir) mix channels in the 1x1x1 convolutions that a bottleneck has anyway; the
interaction-preserved ones (ip) put one more before the depthwise convolution, with a normalisation and no activation
between the two, as in the authors' code. csn_r101 is pytorchvideo's. Everything is normalised with an epsilon of 1e-5,
pytorchvideo's; the authors' is 1e-3. csn_r14, one block a stage, is for small machines; it is not in the paper.
"""

import flax.linen as nn
import jax

from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.residual import Bottleneck
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


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem` (pooled), `stage1` to `stage4`, and `features`, the last of them.

    Space halves in the stem, in its pool and in stages 2 to 4, time in those stages. `preserved` is ip, without it ir.
    `width` scales all channels.
    """

    depths: tuple[int, ...] = _50
    preserved: bool = False
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        x = ConvNorm(self._scaled(64), (3, 7, 7), (1, 2, 2), name="stem", **common)(
            video, train=train
        )
        endpoints = {"stem": (x := max_pool(nn.relu(x), (1, 3, 3), (1, 2, 2), (0, 1, 1)))}
        lead = {"lead": (1, 1, 1), "lead_activation": False} if self.preserved else {}
        kernels = ((1, 1, 1), (3, 3, 3), (1, 1, 1))
        for stage, depth in enumerate(self.depths, start=1):
            features, inner = self._scaled(128 * 2**stage), self._scaled(32 * 2**stage)
            for block in range(1, depth + 1):
                stride = (2, 2, 2) if stage > 1 and block == 1 else (1, 1, 1)
                fields = {"groups": inner, "name": f"stage{stage}_block{block}", **lead, **common}
                x = Bottleneck(features, inner, kernels, stride, **fields)(x, train=train)
            endpoints[f"stage{stage}"] = x
        return endpoints | {"features": x}

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))
