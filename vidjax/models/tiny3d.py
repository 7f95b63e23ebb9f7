"""A small classifier of three residual 3D blocks, to see a 3D CNN learn and to read in one sitting.

A 3x7x7 stem with 32 channels, then blocks of two 3x3x3 convolutions with 64, 128 and 256 channels.
It is of no paper, and has the shape of the first networks of most courses on video.
"""

import flax.linen as nn
import jax

from vidjax.layers import checks
from vidjax.layers.conv_norm import Size, styled_conv
from vidjax.layers.norm import Norm
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
    """Two 3x3x3 convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features]."""

    features: int
    stride: Size
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style, features = self.style, self.features
        y = styled_conv(features, (3, 3, 3), stride=self.stride, style=style, name="conv1")(x)
        y = Norm(style=style, name="norm1")(y, train=train)
        y = style.activate(y)
        y = styled_conv(features, (3, 3, 3), style=style, name="conv2")(y)
        y = Norm(style=style, zero_scale=style.zero_init_last, name="norm2")(y, train=train)
        # The shortcut is a convolution even where nothing changes its shape: one rule for all.
        x = styled_conv(features, (1, 1, 1), stride=self.stride, style=style, name="shortcut")(x)
        x = Norm(style=style, name="shortcut_norm")(x, train=train)
        return style.activate(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage3`, and `features`.

    `features` is the last stage. `channels` and `strides` are those of the stem and the blocks.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256)
    strides: tuple[Size, ...] = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 2, 2))
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

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        stem, *stages = [scaled(count, self.width) for count in self.channels]
        x = styled_conv(stem, (3, 7, 7), stride=self.strides[0], style=style, name="stem")(video)
        x = style.activate(Norm(style=style, name="stem_norm")(x, train=train))
        endpoints = {"stem": x}
        for stage, features in enumerate(stages, start=1):
            block = ResidualBlock(features, self.strides[stage], style=style, name=f"stage{stage}")
            x = block(x, train=train)
            endpoints[f"stage{stage}"] = x
        endpoints["features"] = x
        return endpoints
