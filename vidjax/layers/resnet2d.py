"""The trunk of 2D residual networks, on every frame: stem, pooling and four stages of residual blocks.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1, as in torchvision: a bottleneck's stride is
at its 3x3 convolution. With a `mix` along time it is the trunk of shift networks.
"""

import flax.linen as nn
import jax

from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.frames import as_clip
from vidjax.layers.residual import BasicBlock, Bottleneck
from vidjax.ops.pool import max_pool

EXPANSION = 4  # a bottleneck's output over its inner width


class ResNet2D(nn.Module):
    """[N, T, H, W, C] or [N, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`, the last of them.

    `mix`, a module without parameters, enters the first of each `mix_every` blocks of a stage, ahead of the fork with
    `mix_shortcut`. Use it with `nn.share_scope`, so that parameters have no name of this module in their paths.
    """

    depths: tuple[int, ...]
    bottleneck: bool
    mix: nn.Module | None = None
    mix_shortcut: bool = False
    mix_every: int = 1
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        x = as_clip(video)
        x = ConvNorm(self._scaled(64), (1, 7, 7), (1, 2, 2), name="stem", **common)(x, train=train)
        endpoints = {"stem": (x := max_pool(nn.relu(x), (1, 3, 3), (1, 2, 2), (0, 1, 1)))}
        for stage, depth in enumerate(self.depths, start=1):
            for block in range(1, depth + 1):
                stride = (1, 2, 2) if stage > 1 and block == 1 else (1, 1, 1)
                mix = self.mix if (block - 1) % self.mix_every == 0 else None
                own = {"stride": stride, "mix": mix, "mix_shortcut": self.mix_shortcut}
                x = self._block(32 * 2**stage, name=f"stage{stage}_block{block}", **own, **common)(
                    x, train=train
                )
            endpoints[f"stage{stage}"] = x
        return endpoints | {"features": x}

    def _block(self, channels, **fields):
        if self.bottleneck:
            return Bottleneck(self._scaled(EXPANSION * channels), self._scaled(channels), **fields)
        return BasicBlock(self._scaled(channels), ((1, 3, 3), (1, 3, 3)), **fields)

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))
