"""The trunk of 2D residual networks, applied to every frame: stem, pooling, four stages of blocks.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1, as in torchvision: a
bottleneck strides in its 3x3 convolution. With a `mix` along time it is the trunk of TSM.
"""

import flax.linen as nn
import jax

from vidjax.layers.branch import drop_rates
from vidjax.layers.conv_norm import ConvNorm, Size
from vidjax.layers.frames import as_clip
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.residual import BasicBlock, Bottleneck
from vidjax.layers.style import Style
from vidjax.layers.widths import scaled
from vidjax.ops.pool import max_pool

EXPANSION = 4  # output channels of a bottleneck over its inner ones
NUM_STAGES = 4


class ResNet2D(nn.Module):
    """[N, T, H, W, C] or [N, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    `features` is the last stage. `mix`, a module without parameters, enters the first of each
    `mix_every` blocks of a stage. docs/knobs.md describes the fields from `stochastic_depth` to
    `remat_blocks`. Use it with `nn.share_scope`, so that parameter paths do not name this module.
    """

    depths: tuple[int, ...]
    bottleneck: bool
    mix: nn.Module | None = None
    mix_shortcut: bool = False
    mix_every: int = 1
    stochastic_depth: float = 0.0
    squeeze_excite: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        x = as_clip(video)  # [N, T, H, W, C]
        stem = ConvNorm(scaled(64, self.width), (1, 7, 7), (1, 2, 2), style=style, name="stem")
        x = style.activate(stem(x, train=train))
        x = max_pool(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        endpoints = {"stem": x}
        for stage, depth in enumerate(self.depths, start=1):
            for block in range(1, depth + 1):
                stride = (1, 2, 2) if stage > 1 and block == 1 else (1, 1, 1)
                mixes = (block - 1) % self.mix_every == 0  # the first block of a stage does
                module = self._block(stage, block, stride=stride, mixes=mixes)
                x = run_block(module, x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
        endpoints["features"] = x
        return endpoints

    def _block(self, stage: int, block: int, *, stride: Size, mixes: bool) -> nn.Module:
        channels = 32 * 2**stage  # 64, 128, 256, 512
        mix = self.mix if mixes else None
        drop_rate = drop_rates(self.stochastic_depth, self.depths)[stage - 1][block - 1]
        if self.bottleneck:
            return Bottleneck(
                scaled(EXPANSION * channels, self.width),
                scaled(channels, self.width),
                stride=stride,
                mix=mix,
                mix_shortcut=self.mix_shortcut,
                squeeze_excite=self.squeeze_excite,
                drop_rate=drop_rate,
                style=self.style,
                name=f"stage{stage}_block{block}",
            )
        return BasicBlock(
            scaled(channels, self.width),
            ((1, 3, 3), (1, 3, 3)),
            stride=stride,
            mix=mix,
            mix_shortcut=self.mix_shortcut,
            squeeze_excite=self.squeeze_excite,
            drop_rate=drop_rate,
            style=self.style,
            name=f"stage{stage}_block{block}",
        )
