"""X3D: a small image network that is expanded, an axis at a time, into a network over clips.

Feichtenhofer, X3D: Expanding Architectures for Efficient Video Recognition, CVPR 2020, tables 1 and 3. The rule:

- channels: 12 in the stem and 12, 24, 48, 96 in the stages, times `width_factor`, to the nearest multiple of 8: no
  less than 8, and the next one where the nearest would lose over a tenth (`round_channels`);
- blocks: 1, 2, 5 and 3 in the stages, times `depth_factor`, rounded up;
- the depthwise 3x3x3 kernel of a block sees `bottleneck_factor` times the block's channels, rounded down; in every
  other block, the first included, a gate over its channels follows, `squeeze_ratio` times as wide inside.

X2D is where the expansion starts, for single frames of 112x112. XS, S and M are one network for other clips: 4x160x160,
13x160x160 and 16x224x224; L is deeper and takes 16x312x312. `width_factor=2.9, depth_factor=5.0` is the paper's XL.
`width` is this house's: it multiplies `width_factor`, and the features behind the stages.
Departs from the paper's own code as pytorchvideo does: a shortcut that only moves to a coarser grid, which the first
stage's is, has no normalisation. `shortcut_norm="always"` gives it one, as in PySlowFast.
"""

import math

import flax.linen as nn
import jax

from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.squeeze_excite import SqueezeExcite
from vidjax.ops.conv import Conv
from vidjax.ops.norm import BatchNorm
from vidjax.ops.pool import global_avg_pool

# name: fields of Model
VARIANTS = {
    "x2d": {"depth_factor": 1.0, "bottleneck_factor": 1.0},
    "x3d_xs": {"depth_factor": 2.2},
    "x3d_s": {"depth_factor": 2.2},
    "x3d_m": {"depth_factor": 2.2},
    "x3d_l": {"depth_factor": 5.0},
}

STEM_CHANNELS = 12  # before the expansion, as are these two
STAGE_CHANNELS = (12, 24, 48, 96)
STAGE_DEPTHS = (1, 2, 5, 3)
SHORTCUT_NORMS = ("widening", "always")


def round_channels(channels: float, multiple: int = 8) -> int:
    """The nearest multiple, at least one of them; the next one where the nearest would lose over a tenth."""
    nearest = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return nearest + multiple if nearest < 0.9 * channels else nearest


def num_blocks(depth_factor: float) -> tuple[int, ...]:
    """Blocks of the four stages."""
    return tuple(math.ceil(depth_factor * depth) for depth in STAGE_DEPTHS)


class Stem(nn.Module):
    """A 1x3x3 convolution, then a depthwise one of 5x1x1: [N, T, H, W, C] -> [N, T, H/2, W/2, features]."""

    features: int
    epsilon: float = 1e-5
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        x = Conv(self.features, (1, 3, 3), (1, 2, 2), (0, 1, 1), name="spatial", **common)(x)
        x = Conv(
            self.features, (5, 1, 1), (1, 1, 1), (2, 0, 0), self.features, name="temporal", **common
        )(x)
        return nn.relu(
            BatchNorm(epsilon=self.epsilon, dtype=self.dtype, name="norm")(x, train=train)
        )


class Shortcut(nn.Module):
    """A convolution of one position, and a normalisation if `norm`; names as in blocks.conv_norm."""

    features: int
    stride: tuple[int, int, int]
    norm: bool
    epsilon: float = 1e-5
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        x = Conv(self.features, (1, 1, 1), self.stride, name="conv", **common)(x)
        if not self.norm:
            return x
        return BatchNorm(epsilon=self.epsilon, dtype=self.dtype, name="norm")(x, train=train)


class Block(nn.Module):
    """Widen, depthwise 3x3x3, narrow, and a shortcut: [N, T, H, W, C] -> [N, T, H/sh, W/sw, features].

    `squeeze` is the inner width of the gate behind the depthwise kernel; 0 is none.
    """

    features: int
    inner: int
    squeeze: int = 0
    stride: tuple[int, int, int] = (1, 1, 1)
    shortcut_norm: str = "widening"
    epsilon: float = 1e-5
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"epsilon": self.epsilon, "dtype": self.dtype, "lowering": self.lowering}
        y = nn.relu(ConvNorm(self.inner, name="conv1", **common)(x, train=train))
        y = ConvNorm(self.inner, (3, 3, 3), self.stride, groups=self.inner, name="conv2", **common)(
            y, train=train
        )
        if self.squeeze:
            y = SqueezeExcite(self.squeeze, dtype=self.dtype, name="squeeze_excite")(y)
        y = ConvNorm(self.features, name="conv3", **common)(nn.silu(y), train=train)
        widening = x.shape[-1] != self.features
        if widening or self.stride != (1, 1, 1):
            norm = widening or self.shortcut_norm == "always"
            x = Shortcut(self.features, self.stride, norm, name="shortcut", **common)(
                x, train=train
            )
        return nn.relu(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`, [N, 1, 1, 1, 2048].

    Space halves in the stem and in every stage, time stays. The features are those of the paper's conv5, averaged over
    the clip, through one more layer.
    """

    width_factor: float = 2.0
    depth_factor: float = 2.2
    bottleneck_factor: float = 2.25
    squeeze_ratio: float = 0.0625
    num_features: int = 2048
    shortcut_norm: str = "widening"
    epsilon: float = 1e-5
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        if self.shortcut_norm not in SHORTCUT_NORMS:
            raise ValueError(
                f"shortcut_norm is {self.shortcut_norm!r}; there are {', '.join(SHORTCUT_NORMS)}"
            )
        common = {"epsilon": self.epsilon, "dtype": self.dtype, "lowering": self.lowering}
        x = Stem(self._expanded(STEM_CHANNELS), name="stem", **common)(video, train=train)
        endpoints = {"stem": x}
        for stage, depth in enumerate(num_blocks(self.depth_factor), start=1):
            features = self._expanded(STAGE_CHANNELS[stage - 1])
            inner = max(1, int(self.bottleneck_factor * features))
            for block in range(1, depth + 1):
                x = Block(
                    features,
                    inner,
                    squeeze=round_channels(self.squeeze_ratio * inner)
                    if self.squeeze_ratio and block % 2
                    else 0,
                    stride=(1, 2, 2) if block == 1 else (1, 1, 1),
                    shortcut_norm=self.shortcut_norm,
                    name=f"stage{stage}_block{block}",
                    **common,
                )(x, train=train)
            endpoints[f"stage{stage}"] = x
        x = global_avg_pool(
            nn.relu(ConvNorm(inner, name="conv5", **common)(x, train=train))
        )  # [N, 1, 1, 1, C]
        num_features = max(1, round(self.num_features * self.width))
        # no normalisation follows, so the kernel starts at the scale that keeps its input's
        he = nn.initializers.he_normal()
        x = nn.Dense(num_features, use_bias=False, kernel_init=he, dtype=self.dtype, name="hidden")(
            x
        )
        return endpoints | {"features": nn.relu(x)}

    def _expanded(self, channels: int) -> int:
        """Channels after the expansion."""
        return round_channels(channels * self.width_factor * self.width)
