"""X3D: a small image network that is expanded, an axis at a time, into a network over clips.

Feichtenhofer, X3D: Expanding Architectures for Efficient Video Recognition, CVPR 2020, tables 1 and
3. The rule of expansion:

- channels: 12 in the stem and 12, 24, 48, 96 in the stages, times `width_factor`, rounded to a
  multiple of 8 (`layers.widths.round_channels`);
- blocks: 1, 2, 5 and 3 in the stages, times `depth_factor`, rounded up;
- inner channels: a block's depthwise 3x3x3 convolution has `bottleneck_factor` times the channels
  of the block, rounded down;
- gates: every other block, the first included, has squeeze and excitation behind that convolution,
  with `squeeze_ratio` times the inner channels, rounded as above.

X2D is where the expansion starts, for single frames of 112x112. XS, S and M are one network for
clips of 4x160x160, 13x160x160 and 16x224x224; L is deeper and takes 16x312x312. With
`width_factor=2.9, depth_factor=5.0` it is the paper's XL. `width` is not in the paper: it
multiplies `width_factor` and the features behind the stages.
Departs from the paper's code as pytorchvideo does: a shortcut that strides without widening, such
as that of the first stage, has no normalisation. `shortcut_norm="always"` gives it one, as in
PySlowFast.
"""

import math

import flax.linen as nn
import jax

from vidjax.layers import branch, checks, non_local, temporal
from vidjax.layers.branch import end_of_branch
from vidjax.layers.conv_norm import ConvNorm, Size, styled_conv
from vidjax.layers.non_local import NonLocal
from vidjax.layers.norm import Norm
from vidjax.layers.remat import run_block
from vidjax.layers.squeeze_excite import SqueezeExcite
from vidjax.layers.style import Style
from vidjax.layers.temporal import Temporal
from vidjax.layers.widths import round_channels, scaled
from vidjax.ops.mean import mean_over_clip

# name: fields of Model
VARIANTS = {
    "x2d": {"depth_factor": 1.0, "bottleneck_factor": 1.0},
    "x3d_xs": {"depth_factor": 2.2},
    "x3d_s": {"depth_factor": 2.2},
    "x3d_m": {"depth_factor": 2.2},
    "x3d_l": {"depth_factor": 5.0},
}
MAP = "stage4"  # the last endpoint with time and space

STEM_CHANNELS = 12  # ahead of the expansion, as are the next two
STAGE_CHANNELS = (12, 24, 48, 96)
STAGE_DEPTHS = (1, 2, 5, 3)
SHORTCUT_NORMS = ("widening", "always")


def num_blocks(depth_factor: float) -> tuple[int, ...]:
    """Blocks of the four stages."""
    return tuple(math.ceil(depth_factor * depth) for depth in STAGE_DEPTHS)


class Stem(nn.Module):
    """A 1x3x3 convolution, then a depthwise 5x1x1: [N, T, H, W, C] -> [N, T, H/2, W/2, C']."""

    features: int
    time: Temporal = Temporal()
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style, time = self.style, self.time
        spatial = styled_conv(
            self.features, (1, 3, 3), stride=(1, 2, 2), style=style, name="spatial"
        )
        temporal = styled_conv(
            self.features,
            time.kernel((5, 1, 1)),
            stride=time.step((1, 1, 1)),
            dilation=time.dilation,
            groups=self.features,
            style=style,
            name="temporal",
        )
        x = Norm(style=style, name="norm")(temporal(spatial(x)), train=train)
        return style.activate(x)


class Shortcut(nn.Module):
    """A 1x1x1 convolution, and a normalisation if `norm`; parameter names are those of ConvNorm."""

    features: int
    stride: Size
    norm: bool
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        x = styled_conv(self.features, (1, 1, 1), stride=self.stride, style=style, name="conv")(x)
        if self.norm:
            x = Norm(style=style, name="norm")(x, train=train)
        return x


class Block(nn.Module):
    """Widen, depthwise 3x3x3, narrow, shortcut: [N, T, H, W, C] -> [N, T, H/sh, W/sw, features].

    `squeeze` is the inner width of the gate behind the depthwise convolution; 0 leaves it out.
    """

    features: int
    inner: int
    squeeze: int = 0
    stride: Size = (1, 1, 1)
    time: Temporal = Temporal()  # of which its stride is in `stride`
    drop_rate: float = 0.0
    shortcut_norm: str = "widening"
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        y = style.activate(ConvNorm(self.inner, style=style, name="conv1")(x, train=train))
        depthwise = ConvNorm(
            self.inner,
            self.time.kernel((3, 3, 3)),
            self.stride,
            dilation=self.time.dilation,
            groups=self.inner,
            style=style,
            name="conv2",
        )
        y = depthwise(y, train=train)
        if self.squeeze:
            y = SqueezeExcite(self.squeeze, style=style, name="squeeze_excite")(y)
        # Swish follows the gate, not the convolution; the other activations are ReLU.
        y = style.activate(y, default="silu")
        last = ConvNorm(self.features, zero_scale=style.zero_init_last, style=style, name="conv3")
        y = end_of_branch(
            last(y, train=train),
            squeeze_excite=0.0,  # this block has its gate inside
            drop_rate=self.drop_rate,
            style=style,
            train=train,
        )
        widening = x.shape[-1] != self.features
        if widening or self.stride != (1, 1, 1):
            norm = widening or self.shortcut_norm == "always"
            shortcut = Shortcut(self.features, self.stride, norm, style=style, name="shortcut")
            x = shortcut(x, train=train)
        return style.activate(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    Space halves in the stem and in every stage, time stays. `features`, [N, 1, 1, 1, 2048], are
    those of the paper's conv5, averaged over the clip, behind one more dense layer. The fields from
    `temporal_kernels` to `remat_blocks` are described in docs/knobs.md.
    """

    width_factor: float = 2.0
    depth_factor: float = 2.2
    bottleneck_factor: float = 2.25
    squeeze_ratio: float = 0.0625  # 0 leaves out all gates
    num_features: int = 2048
    shortcut_norm: str = "widening"
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    stochastic_depth: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.one_of("shortcut_norm", self.shortcut_norm, SHORTCUT_NORMS)
        for field in ("width_factor", "depth_factor", "bottleneck_factor", "width"):
            checks.above_zero(field, getattr(self, field))
        checks.at_least("squeeze_ratio", self.squeeze_ratio, 0)
        checks.at_least("num_features", self.num_features, 1)
        temporal.check(self, (True,) * 5)
        checks.share("stochastic_depth", self.stochastic_depth)
        non_local.check(self.non_local, len(STAGE_CHANNELS))

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        time = temporal.of_stage(self, 0)
        stem = Stem(self._expanded(STEM_CHANNELS), time, style=style, name="stem")
        x = stem(video, train=train)
        endpoints = {"stem": x}
        for stage, depth in enumerate(num_blocks(self.depth_factor), start=1):
            for block in range(1, depth + 1):
                x = run_block(self._block(stage, block), x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
        conv5 = ConvNorm(self._inner(len(STAGE_CHANNELS)), style=style, name="conv5")
        x = style.activate(conv5(x, train=train))
        x = mean_over_clip(self, x)  # [N, 1, 1, 1, C]
        hidden = nn.Dense(
            scaled(self.num_features, self.width),
            use_bias=False,
            # No normalisation follows, so the kernel starts at the scale that keeps its input's.
            kernel_init=nn.initializers.he_normal(),
            dtype=style.dtype,
            name="hidden",
        )
        endpoints["features"] = style.activate(hidden(x))
        return endpoints

    def _block(self, stage: int, block: int) -> Block:
        inner = self._inner(stage)
        time = temporal.of_stage(self, stage)
        rates = branch.drop_rates(self.stochastic_depth, num_blocks(self.depth_factor))
        gated = self.squeeze_ratio > 0 and block % 2 == 1
        return Block(
            self._expanded(STAGE_CHANNELS[stage - 1]),
            inner,
            squeeze=round_channels(self.squeeze_ratio * inner) if gated else 0,
            stride=time.step((1, 2, 2)) if block == 1 else (1, 1, 1),
            time=time,
            drop_rate=rates[stage - 1][block - 1],
            shortcut_norm=self.shortcut_norm,
            style=self.style,
            name=f"stage{stage}_block{block}",
        )

    def _expanded(self, channels: int) -> int:
        """Channels after the expansion."""
        return round_channels(channels * self.width_factor * self.width)

    def _inner(self, stage: int) -> int:
        """Channels of the depthwise convolutions of a stage."""
        return max(1, int(self.bottleneck_factor * self._expanded(STAGE_CHANNELS[stage - 1])))
