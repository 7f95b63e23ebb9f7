"""ConvColumn: small gesture networks of 2x3x3 kernels, from a tutorial on 3D convolutions.

github.com/OValery16/Tutorial-about-3D-convolutional-network, model.py, ConvColumn5 and ConvColumn6;
made for clips of 18x84x84. Departs from it for larger clips, on which the tutorial's code fails:
the map behind the last convolution is averaged over time and space. At the tutorial's own sizes (16
to 31 frames, 78 to 93 pixels) that map is a single position.
"""

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.layers.conv_norm import styled_conv
from vidjax.layers.sequential import ConvAct, DenseAct
from vidjax.layers.style import Style, refuse_causal, refuse_zero_init_last
from vidjax.layers.widths import scaled
from vidjax.ops.pool import global_avg_pool, max_pool

# name: fields of Model
VARIANTS = {
    "conv_column_5": {},
    "conv_column_6": {"use_norm": True, "hidden": (512, 512, 256)},
}
MAP = "stage4"  # the last endpoint with time and space

CHANNELS = (32, 64, 124, 256)  # of the four columns
# T, H, W: time halves four times, and the last kernel, without padding, needs 3x3 positions
MIN_CLIP = (16, 78, 78)


class Column(nn.Module):
    """Two convolutions and a pooling: [N, T, H, W, C] -> [N, T/2, H/2 - 1, W/2 - 1, features].

    The first kernel covers two frames without padding, so it loses a frame; the second is padded by
    one and gains it back.
    """

    features: int
    use_norm: bool = False
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        for number, padding in ((1, (0, 0, 0)), (2, (1, 1, 1))):
            conv = ConvAct(
                self.features,
                (2, 3, 3),
                padding=padding,
                use_norm=self.use_norm,
                style=self.style.with_defaults(activation="leaky_relu"),
                name=f"conv{number}",
            )
            x = conv(x, train=train)
        return max_pool(x, (2, 2, 2))


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    The stem and three stages are columns, the fourth stage is a 1x3x3 convolution without
    activation. Behind its average are two dense layers, each with activation, normalisation and
    dropout in this order; `features` is [N, 1, 1, 1, 124 or 256]. Raises UserError for clips below
    MIN_CLIP.
    """

    use_norm: bool = False  # in the columns; the dense layers always have it
    hidden: tuple[int, int, int] = (256, 256, 124)  # of the last convolution and two dense layers
    hidden_dropout: float = 0.15  # behind each dense layer, in training
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        checks.sizes("hidden", self.hidden)
        checks.share("hidden_dropout", self.hidden_dropout)
        refuse_zero_init_last(self.style, "ConvColumn")
        refuse_causal(self.style, "ConvColumn", "it pools over time")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        check_clip(video.shape[1:4])
        style = self.style.with_defaults(activation="leaky_relu")
        x = video
        endpoints = {}
        for stage, channels in enumerate(CHANNELS):
            name = "stem" if stage == 0 else f"stage{stage}"
            column = Column(scaled(channels, self.width), self.use_norm, style=style, name=name)
            x = column(x, train=train)
            endpoints[name] = x
        last, *dense = [scaled(features, self.width) for features in self.hidden]
        # Without padding: at the tutorial's sizes a map of 3x3 becomes a single position.
        conv = styled_conv(
            last, (1, 3, 3), padding=(0, 0, 0), use_bias=True, style=style, name="stage4"
        )
        x = conv(x)
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


def check_clip(size: tuple[int, ...]) -> None:
    """Raises UserError for a clip of T, H, W that is smaller than MIN_CLIP along any axis."""
    if any(length < least for length, least in zip(size, MIN_CLIP, strict=True)):
        given = "x".join(str(length) for length in size)
        least = "x".join(str(length) for length in MIN_CLIP)
        raise UserError(
            f"convcolumn takes clips of {least} (frames, height, width) or more, not {given}."
        )
