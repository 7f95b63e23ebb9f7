"""A small classifier of three residual 3D blocks, to see a 3D CNN learn and to read in one sitting.

A 3x7x7 stem with 32 channels, then blocks of two 3x3x3 convolutions with 64, 128 and 256 channels.
It is of no paper, and has the shape of the first networks of most courses on video.
"""

import flax.linen as nn
import jax

from vidjax.layers import branch, checks, non_local, temporal
from vidjax.layers.branch import end_of_branch
from vidjax.layers.conv_norm import Size, styled_conv
from vidjax.layers.non_local import NonLocal
from vidjax.layers.norm import Norm
from vidjax.layers.remat import run_block
from vidjax.layers.style import Style
from vidjax.layers.widths import scaled

# name: fields of Model
VARIANTS = {
    "tiny3d": {
        "channels": (32, 64, 128, 256),
        "strides": ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 2, 2)),
    }
}
MAP = "stage3"  # the last endpoint with time and space


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features]."""

    features: int
    kernels: tuple[Size, Size]
    stride: Size
    dilation: int = 1  # in time
    squeeze_excite: float = 0.0
    drop_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style, features = self.style, self.features
        first, second = self.kernels
        conv1 = styled_conv(
            features, first, stride=self.stride, dilation=self.dilation, style=style, name="conv1"
        )
        y = Norm(style=style, name="norm1")(conv1(x), train=train)
        y = style.activate(y)
        y = styled_conv(features, second, dilation=self.dilation, style=style, name="conv2")(y)
        y = Norm(style=style, zero_scale=style.zero_init_last, name="norm2")(y, train=train)
        y = end_of_branch(
            y,
            squeeze_excite=self.squeeze_excite,
            drop_rate=self.drop_rate,
            style=style,
            train=train,
        )
        # The shortcut is a convolution even where nothing changes its shape: one rule for all.
        x = styled_conv(features, (1, 1, 1), stride=self.stride, style=style, name="shortcut")(x)
        x = Norm(style=style, name="shortcut_norm")(x, train=train)
        return style.activate(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage3`, and `features`.

    `features` is the last stage. `channels` and `strides` are those of the stem and the blocks. The
    fields from `temporal_kernels` to `remat_blocks` are described in docs/knobs.md.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256)
    strides: tuple[Size, ...] = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 2, 2))
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
        checks.stages("channels", self.channels, 4)
        checks.sizes("channels", self.channels)
        checks.stages("strides", self.strides, 4)
        for stride in self.strides:
            checks.sizes("strides", stride)
        temporal.check(self, (True,) * 4)
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, 3)

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        stem, *stages = [scaled(count, self.width) for count in self.channels]
        time = temporal.of_stage(self, 0)
        conv = styled_conv(
            stem,
            time.kernel((3, 7, 7)),
            stride=time.step(self.strides[0]),
            dilation=time.dilation,
            style=style,
            name="stem",
        )
        x = style.activate(Norm(style=style, name="stem_norm")(conv(video), train=train))
        endpoints = {"stem": x}
        (rates,) = branch.drop_rates(self.stochastic_depth, (len(stages),))
        for stage, features in enumerate(stages, start=1):
            time = temporal.of_stage(self, stage)
            block = ResidualBlock(
                features,
                kernels=(time.kernel((3, 3, 3)),) * 2,
                stride=time.step(self.strides[stage]),
                dilation=time.dilation,
                squeeze_excite=self.squeeze_excite,
                drop_rate=rates[stage - 1],
                style=style,
                name=f"stage{stage}",
            )
            x = run_block(block, x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
        endpoints["features"] = x
        return endpoints
