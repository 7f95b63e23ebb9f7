"""ConvColumn: small gesture networks of 2x3x3 kernels, from a tutorial on 3D convolutions.

github.com/OValery16/Tutorial-about-3D-convolutional-network, model.py, ConvColumn5 and ConvColumn6;
made for clips of 18x84x84. Departs from it for larger clips, on which the tutorial's code fails:
the map behind the last convolution is averaged over time and space. At the tutorial's own sizes (16
to 31 frames, 78 to 93 pixels) that map is a single position.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers import checks, non_local, temporal
from vidjax.layers.conv_norm import styled_conv
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.sequential import ConvAct, DenseAct
from vidjax.layers.style import Style, refuse_causal, refuse_zero_init_last
from vidjax.layers.temporal import Temporal
from vidjax.layers.widths import scaled
from vidjax.ops.pool import global_avg_pool, max_pool

# name: fields of Model
VARIANTS = {
    "conv_column_5": {},
    "conv_column_6": {"use_norm": True, "hidden": (512, 512, 256)},
}
MAP = "stage4"  # the last endpoint with time and space

KERNEL = (2, 3, 3)  # of each convolution in a column
CHANNELS = (32, 64, 124, 256)  # of the four columns
# T, H, W: time halves four times, and the last kernel, without padding, needs 3x3 positions
MIN_CLIP = (16, 78, 78)


class Column(nn.Module):
    """Two convolutions and a pooling: [N, T, H, W, C] -> [N, T/2, H/2 - 1, W/2 - 1, features].

    The first kernel covers two frames without padding, so it loses a frame; the second is padded by
    one and gains it back. Other frames, steps of the pooling and dilations are chosen by `time`.
    """

    features: int
    use_norm: bool = False
    time: Temporal = Temporal()
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        kernel = self.time.kernel(KERNEL)
        lost = frames_lost(self.time)
        for number, padding in ((1, (0, 0, 0)), (2, (lost, 1, 1))):
            conv = ConvAct(
                self.features,
                kernel,
                padding=padding,
                dilation=self.time.dilation,
                use_norm=self.use_norm,
                style=self.style.with_defaults(activation="leaky_relu"),
                name=f"conv{number}",
            )
            x = conv(x, train=train)
        return max_pool(x, self.time.step((2, 2, 2)))


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    The stem and three stages are columns, the fourth stage is a 1x3x3 convolution without
    activation. Behind its average are two dense layers, each with activation, normalisation and
    dropout in this order; `features` is [N, 1, 1, 1, 124 or 256]. The fields from
    `temporal_kernels` to `remat_blocks` are described in docs/knobs.md; temporal strides are those
    of the poolings, and the fourth stage has nothing in time. Raises UserError for clips below
    MIN_CLIP, or for fewer frames than the choices in time need.
    """

    use_norm: bool = False  # in the columns; the dense layers always have it
    hidden: tuple[int, int, int] = (256, 256, 124)  # of the last convolution and two dense layers
    hidden_dropout: float = 0.15  # behind each dense layer, in training
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        checks.sizes("hidden", self.hidden)
        checks.share("hidden_dropout", self.hidden_dropout)
        temporal.check(self, (True,) * len(CHANNELS) + (False,), even_kernels=True)
        non_local.check(self.non_local, len(CHANNELS))
        refuse_zero_init_last(self.style, "ConvColumn")
        refuse_causal(self.style, "ConvColumn", "it pools over time")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        times = [temporal.of_stage(self, stage) for stage in range(len(CHANNELS))]
        check_clip(video.shape[1:4], times)
        style = self.style.with_defaults(activation="leaky_relu")
        x = video
        endpoints = {}
        for stage, channels in enumerate(CHANNELS):
            name = "stem" if stage == 0 else f"stage{stage}"
            column = Column(
                scaled(channels, self.width), self.use_norm, times[stage], style=style, name=name
            )
            x = run_block(column, x, train=train, remat=self.remat_blocks)
            x = self._attended(x, stage, train=train)
            endpoints[name] = x
        last, *dense = [scaled(features, self.width) for features in self.hidden]
        # Without padding: at the tutorial's sizes a map of 3x3 becomes a single position.
        conv = styled_conv(
            last, (1, 3, 3), padding=(0, 0, 0), use_bias=True, style=style, name="stage4"
        )
        x = self._attended(conv(x), 4, train=train)
        endpoints["stage4"] = x
        x = global_avg_pool(x)  # [N, 1, 1, 1, C]
        for number, features in enumerate(dense, start=5):  # the tutorial's fc5 and fc6
            layer = DenseAct(
                features,
                use_norm=True,
                dropout=self.hidden_dropout,
                style=style,
                name=f"fc{number}",
            )
            x = layer(x, train=train)
        endpoints["features"] = x
        return endpoints

    def _attended(self, x: jax.Array, stage: int, *, train: bool) -> jax.Array:
        if stage not in self.non_local:
            return x
        block = NonLocal(self.use_norm, style=self.style, name=f"stage{stage}_non_local")
        return block(x, train=train)


def frames_lost(time: Temporal) -> int:
    """The frames that a kernel spans beside its first one."""
    return (time.kernel(KERNEL)[0] - 1) * time.dilation


def least_frames(times: Sequence[Temporal]) -> int:
    """The fewest frames of which every column gets as many as its kernel spans and its step."""
    least = 1
    for time in reversed(times):
        least = max(least * time.step((2, 2, 2))[0], frames_lost(time) + 1)
    return least


def check_clip(size: tuple[int, ...], times: Sequence[Temporal]) -> None:
    """Raises UserError for a clip of T, H, W that is too small along any axis.

    That is smaller than MIN_CLIP, or of fewer frames than the choices in time of the columns need.
    """
    smallest = (least_frames(times), *MIN_CLIP[1:])
    if any(length < least for length, least in zip(size, smallest, strict=True)):
        given = "x".join(str(length) for length in size)
        least = "x".join(str(length) for length in smallest)
        raise UserError(
            f"convcolumn takes clips of {least} (frames, height, width) or more, not {given}."
        )
