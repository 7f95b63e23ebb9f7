"""Pre-activation ResNets over clips: normalisation and activation ahead of each convolution.

He et al., Identity Mappings in Deep Residual Networks, ECCV 2016, figure 4e, inflated by Hara et
al., Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018. Departs
from the first paper as the code of the second does: the shortcut of a block starts from the block's
input as it is, its convolution has a normalisation, and nothing follows the last sum.
preact_resnet_10, with one block a stage, is for small machines; it is not in the paper.
"""

import flax.linen as nn
import jax

from vidjax.layers import branch, checks, non_local, temporal
from vidjax.layers.conv_norm import NormConv, Size
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.residual import shortcut
from vidjax.layers.stem import pooled_stem
from vidjax.layers.style import Style, refuse_causal, refuse_zero_init_last
from vidjax.layers.widths import scaled

_10, _18, _34 = (1, 1, 1, 1), (2, 2, 2, 2), (3, 4, 6, 3)
_50, _101, _152, _200 = _34, (3, 4, 23, 3), (3, 8, 36, 3), (3, 24, 36, 3)

# name: fields of Model
VARIANTS = {
    "preact_resnet_10": {"depths": _10, "basic": True},
    "preact_resnet_18": {"depths": _18, "basic": True},
    "preact_resnet_34": {"depths": _34, "basic": True},
    "preact_resnet_50": {"depths": _50},
    "preact_resnet_101": {"depths": _101},
    "preact_resnet_152": {"depths": _152},
    "preact_resnet_200": {"depths": _200},
}
MAP = "stage4"  # the last endpoint with time and space

NUM_STAGES = 4
EXPANSION = 4  # output channels of a bottleneck over its inner ones


class Block(nn.Module):
    """Convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features].

    `basic` is two 3x3x3 convolutions, of which the first strides. A bottleneck narrows to `inner`
    channels, strides in its 3x3x3 convolution, and widens again. `wide` is the size of those
    kernels and `dilation` theirs in time; `layers.branch` says what `squeeze_excite` and
    `drop_rate` are.
    """

    features: int
    inner: int
    basic: bool = False
    wide: Size = (3, 3, 3)
    stride: Size = (1, 1, 1)
    dilation: int = 1
    squeeze_excite: float = 0.0
    drop_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        if self.basic:
            layers = [
                self._wide(self.features, self.stride, name="conv1"),
                self._wide(self.features, name="conv2"),
            ]
        else:
            layers = [
                NormConv(self.inner, style=style, name="conv1"),
                self._wide(self.inner, self.stride, name="conv2"),
                NormConv(self.features, style=style, name="conv3"),
            ]
        y = x
        for layer in layers:
            y = layer(y, train=train)
        y = branch.end_of_branch(
            y,
            squeeze_excite=self.squeeze_excite,
            drop_rate=self.drop_rate,
            style=style,
            train=train,
        )
        x = shortcut(x, self.features, stride=self.stride, style=style, train=train)
        return x + y

    def _wide(self, features: int, stride: Size = (1, 1, 1), *, name: str) -> NormConv:
        """A convolution that sees neighbours in time and space."""
        return NormConv(
            features, self.wide, stride, dilation=self.dilation, style=self.style, name=name
        )


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem` (pooled), `stage1` to `stage4`, and `features`.

    `features` is the last stage. Space halves in the stem, in its pooling and in stages 2 to 4,
    time in that pooling and in those stages. `basic` chooses blocks of two convolutions in place of
    bottlenecks. `width` scales all channels. docs/knobs.md describes the fields from
    `temporal_kernels` to `remat_blocks`; a temporal stride of the stem is that of its pooling.
    """

    depths: tuple[int, ...] = _50
    basic: bool = False
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
        refuse_causal(self.style, "This pre-activation ResNet", "it pools over time")
        checks.above_zero("width", self.width)
        checks.depths("depths", self.depths, NUM_STAGES)
        temporal.check(self, (True,) * (1 + NUM_STAGES))
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, NUM_STAGES)
        # A scale of zero ahead of an activation would leave it at zero, where no gradient passes.
        refuse_zero_init_last(
            self.style, "A pre-activation ResNet", lack="normalisation at the end of its blocks"
        )

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        x = pooled_stem(self, video, scaled(64, self.width), train=train)
        endpoints = {"stem": x}
        rates = branch.drop_rates(self.stochastic_depth, self.depths)
        for stage, depth in enumerate(self.depths, start=1):
            inner = 32 * 2**stage  # 64, 128, 256, 512
            features = inner if self.basic else EXPANSION * inner
            time = temporal.of_stage(self, stage)
            first_stride = time.step((2, 2, 2) if stage > 1 else (1, 1, 1))
            for number in range(1, depth + 1):
                block = Block(
                    scaled(features, self.width),
                    scaled(inner, self.width),
                    basic=self.basic,
                    wide=time.kernel((3, 3, 3)),
                    stride=first_stride if number == 1 else (1, 1, 1),
                    dilation=time.dilation,
                    squeeze_excite=self.squeeze_excite,
                    drop_rate=rates[stage - 1][number - 1],
                    style=style,
                    name=f"stage{stage}_block{number}",
                )
                x = run_block(block, x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
        endpoints["features"] = x
        return endpoints
