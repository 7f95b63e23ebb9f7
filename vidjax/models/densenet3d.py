"""DenseNets over clips: each layer reads what all layers of its block before it have written.

Huang et al., Densely Connected Convolutional Networks, CVPR 2017, table 1, inflated by Hara et al.,
Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018.
densenet_29, with three layers a block, is for small machines; it is not in the papers.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers import checks, non_local, temporal
from vidjax.layers.conv_norm import NormConv, Size
from vidjax.layers.non_local import NonLocal
from vidjax.layers.norm import Norm
from vidjax.layers.remat import run_block
from vidjax.layers.stem import pooled_stem
from vidjax.layers.style import Style, refuse_causal, refuse_zero_init_last
from vidjax.layers.widths import scaled
from vidjax.ops.pool import avg_pool

# name: fields of Model
VARIANTS = {
    "densenet_29": {"depths": (3, 3, 3, 3)},
    "densenet_121": {"depths": (6, 12, 24, 16)},
    "densenet_169": {"depths": (6, 12, 32, 32)},
    "densenet_201": {"depths": (6, 12, 48, 32)},
    "densenet_264": {"depths": (6, 12, 64, 48)},
}
MAP = "features"  # the last endpoint with time and space

NUM_STAGES = 4
BOTTLENECK = 4  # channels between the two convolutions of a layer, over those that it adds


class DenseLayer(nn.Module):
    """A narrow and a wide convolution; the result joins the input: C -> C + growth channels.

    `wide` is the size of the second kernel and `dilation` its own in time.
    """

    growth: int
    wide: Size = (3, 3, 3)
    dilation: int = 1
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        narrow = NormConv(BOTTLENECK * self.growth, style=self.style, name="conv1")
        wide = NormConv(
            self.growth, self.wide, dilation=self.dilation, style=self.style, name="conv2"
        )
        y = wide(narrow(x, train=train), train=train)
        return jnp.concatenate([x, y], axis=-1)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem` (pooled), `stage1` to `stage4`, and `features`.

    A stage is a dense block. Behind each but the last a transition halves channels, time and space;
    the stem halves space and its pooling both. `features` is the last stage, normalised and
    activated. `width` scales all channels. docs/knobs.md describes the fields from
    `temporal_kernels` to `remat_blocks`: the temporal stride of the stem is that of its pooling,
    and that of a stage is of the transition ahead of it.

    Fields:
        depths: layers in each block.
        growth: channels that each layer adds (the paper's k).
        stem_channels: channels of the first convolution.
    """

    depths: tuple[int, ...] = (6, 12, 24, 16)
    growth: int = 32
    stem_channels: int = 64
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        refuse_causal(self.style, "DenseNet over clips", "it pools over time")
        checks.above_zero("width", self.width)
        checks.depths("depths", self.depths, NUM_STAGES)
        has_stride = (True, False, True, True, True)  # no transition is ahead of stage 1
        temporal.check(self, (True,) * (1 + NUM_STAGES), has_stride)
        non_local.check(self.non_local, NUM_STAGES)
        checks.at_least("growth", self.growth, 1)
        checks.at_least("stem_channels", self.stem_channels, 1)
        refuse_zero_init_last(self.style, "DenseNet")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        x = pooled_stem(self, video, scaled(self.stem_channels, self.width), train=train)
        endpoints = {"stem": x}
        growth = scaled(self.growth, self.width)
        for stage, depth in enumerate(self.depths, start=1):
            time = temporal.of_stage(self, stage)
            for number in range(1, depth + 1):
                layer = DenseLayer(
                    growth,
                    time.kernel((3, 3, 3)),
                    time.dilation,
                    style=style,
                    name=f"stage{stage}_block{number}",
                )
                x = run_block(layer, x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
            if stage < NUM_STAGES:
                halved = max(1, x.shape[-1] // 2)
                x = NormConv(halved, style=style, name=f"transition{stage}")(x, train=train)
                # A single frame, row or column stays.
                step = temporal.of_stage(self, stage + 1).step((2, 2, 2))
                x = avg_pool(x, step)
        x = style.activate(Norm(style=style, name="norm")(x, train=train))
        endpoints["features"] = x
        return endpoints
