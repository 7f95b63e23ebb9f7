"""MobileNetV2 on every frame: the inverted residual block and the trunk made of it.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2. Two conventions are about:
torchvision pads by half the kernel and has epsilon 1e-5; Keras pads a stride of two as TensorFlow's "SAME", more after
than before, and has epsilon 1e-3. With a `mix` along time it is the trunk of shift networks.
"""

import flax.linen as nn
import jax

from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.frames import as_clip
from vidjax.layers.residual import fork
from vidjax.ops.padding import Padding

# expansion, channels, blocks and the first one's stride of each stage
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FIRST, LAST = 32, 1280
DIVISOR = 8
PADDINGS = {"half": "", "SAME": "SAME"}  # and ConvNorm's names for them


def divisible(channels: float, divisor: int = DIVISOR) -> int:
    """The nearest multiple of `divisor`, at least one of them, and never more than a tenth below `channels`."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


class InvertedResidual(nn.Module):
    """Wide inside, narrow and linear at its ends: [N, T, H, W, C] -> [N, T, H/sh, W/sw, features].

    The input is added where it has the output's shape; only there `mix` enters, as in the residual blocks.
    """

    features: int
    expansion: int = 6
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: Padding = ""
    epsilon: float = 1e-5
    mix: nn.Module | None = None
    mix_shortcut: bool = False
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"epsilon": self.epsilon, "dtype": self.dtype, "lowering": self.lowering}
        residual = self.stride == (1, 1, 1) and x.shape[-1] == self.features
        inner = self.expansion * x.shape[-1]
        y, x = fork(x, self.mix if residual else None, self.mix_shortcut)
        if self.expansion > 1:
            y = nn.relu6(ConvNorm(inner, name="expand", **common)(y, train=train))
        spatial = {"padding": self.padding, "groups": inner, **common}
        y = nn.relu6(
            ConvNorm(inner, (1, 3, 3), self.stride, name="depthwise", **spatial)(y, train=train)
        )
        y = ConvNorm(self.features, name="project", **common)(y, train=train)
        return x + y if residual else y


class MobileNetV2(nn.Module):
    """[N, T, H, W, C] or [N, H, W, C] -> endpoints `stem`, `stage1` to `stage7`, and `features`, of the last layer.

    `width` scales channels to multiples of eight; below 1 it leaves the last layer alone. `padding` is one of PADDINGS.
    Use it with `nn.share_scope`, so that parameters have no name of this module in their paths.
    """

    padding: str = "half"
    epsilon: float = 1e-5
    mix: nn.Module | None = None
    mix_shortcut: bool = False
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        if self.padding not in PADDINGS:
            raise ValueError(f"padding is {self.padding!r}; there are {', '.join(PADDINGS)}")
        common = {"epsilon": self.epsilon, "dtype": self.dtype, "lowering": self.lowering}
        spatial = {"padding": PADDINGS[self.padding], **common}
        mix = {"mix": self.mix, "mix_shortcut": self.mix_shortcut}
        x = as_clip(video)
        x = ConvNorm(divisible(FIRST * self.width), (1, 3, 3), (1, 2, 2), name="stem", **spatial)(
            x, train=train
        )
        endpoints = {"stem": (x := nn.relu6(x))}
        for stage, (expansion, channels, depth, stride) in enumerate(STAGES, start=1):
            for block in range(1, depth + 1):
                own = {
                    "stride": (1, stride, stride) if block == 1 else (1, 1, 1),
                    "name": f"stage{stage}_block{block}",
                }
                features = divisible(channels * self.width)
                x = InvertedResidual(features, expansion, **own, **mix, **spatial)(x, train=train)
            endpoints[f"stage{stage}"] = x
        x = ConvNorm(divisible(LAST * max(1.0, self.width)), name="last", **common)(x, train=train)
        return endpoints | {"features": nn.relu6(x)}
