"""MobileNetV2 on every frame: the inverted residual block and the trunk made of it.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2. Two
conventions are in use: torchvision pads by half the kernel and has epsilon 1e-5; Keras pads as
TensorFlow's "SAME", more after than before at a stride of two, and has epsilon 1e-3. With a `mix`
along time it is the trunk of TSM.
"""

import flax.linen as nn
import jax

from vidjax.layers.branch import drop_rates, end_of_branch
from vidjax.layers.conv_norm import ConvNorm, Size
from vidjax.layers.frames import as_clip
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.residual import branch_and_shortcut
from vidjax.layers.style import Style
from vidjax.layers.widths import round_channels
from vidjax.ops.padding import Padding

# of each stage: expansion, channels, number of blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FIRST, LAST = 32, 1280  # channels of the stem and of the last layer
PADDINGS = ("half", "SAME")


class InvertedResidual(nn.Module):
    """A block that is wide inside and linear at its end: [N, T, H, W, C] -> [N, T, H', W', C'].

    The input is added where it has the output's shape. `mix` enters only those blocks, as in
    `layers.residual`.
    """

    features: int
    expansion: int = 6
    stride: Size = (1, 1, 1)
    padding: Padding = "half"
    mix: nn.Module | None = None
    mix_shortcut: bool = False
    squeeze_excite: float = 0.0
    drop_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        inner = self.expansion * x.shape[-1]  # of the input's channels, not the output's
        residual = self.stride == (1, 1, 1) and x.shape[-1] == self.features
        y = x
        if residual:
            y, x = branch_and_shortcut(x, self.mix, mix_shortcut=self.mix_shortcut)
        if self.expansion > 1:  # the first stage has nothing to expand
            y = ConvNorm(inner, style=style, name="expand")(y, train=train)
            y = style.activate(y, default="relu6")
        depthwise = ConvNorm(
            inner,
            (1, 3, 3),
            self.stride,
            padding=self.padding,
            groups=inner,
            style=style,
            name="depthwise",
        )
        y = style.activate(depthwise(y, train=train), default="relu6")
        zero_scale = residual and style.zero_init_last
        project = ConvNorm(self.features, zero_scale=zero_scale, style=style, name="project")
        y = project(y, train=train)  # linear: a ReLU6 on so few channels would lose information
        if residual:
            y = end_of_branch(
                y,
                squeeze_excite=self.squeeze_excite,
                drop_rate=self.drop_rate,
                style=style,
                train=train,
            )
            return x + y
        return y


class MobileNetV2(nn.Module):
    """[N, T, H, W, C] or [N, H, W, C] -> endpoints `stem`, `stage1` to `stage7`, and `features`.

    `features` is the last layer. `width` scales channels to multiples of eight; below 1 it leaves
    the last layer alone. `padding` is one of PADDINGS. docs/knobs.md describes the fields from
    `stochastic_depth` to `remat_blocks`. Use it with `nn.share_scope`, so that
    parameter paths do not name this module.
    """

    padding: str = "half"
    mix: nn.Module | None = None
    mix_shortcut: bool = False
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
        stem = ConvNorm(
            round_channels(FIRST * self.width),
            (1, 3, 3),
            (1, 2, 2),
            padding=self.padding,
            style=style,
            name="stem",
        )
        x = style.activate(stem(x, train=train), default="relu6")
        endpoints = {"stem": x}
        rates = drop_rates(self.stochastic_depth, [depth for _, _, depth, _ in STAGES])
        for stage, (expansion, channels, depth, stride) in enumerate(STAGES, start=1):
            for block in range(1, depth + 1):
                inverted = InvertedResidual(
                    round_channels(channels * self.width),
                    expansion,
                    (1, stride, stride) if block == 1 else (1, 1, 1),
                    padding=self.padding,
                    mix=self.mix,
                    mix_shortcut=self.mix_shortcut,
                    squeeze_excite=self.squeeze_excite,
                    drop_rate=rates[stage - 1][block - 1],
                    style=style,
                    name=f"stage{stage}_block{block}",
                )
                x = run_block(inverted, x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
        # Narrow networks keep the width of the last layer, as in the paper.
        last = ConvNorm(round_channels(LAST * max(1.0, self.width)), style=style, name="last")
        x = style.activate(last(x, train=train), default="relu6")
        endpoints["features"] = x
        return endpoints
