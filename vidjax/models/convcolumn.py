"""ConvColumn: the small gesture networks of a tutorial on 3D convolutions, four columns of two 2x3x3 kernels each.

github.com/OValery16/Tutorial-about-3D-convolutional-network, model.py, ConvColumn5 and ConvColumn6; 18 frames of 84x84.
Departs from it for larger clips, where the tutorial's fails: the map behind the last convolution is averaged over time
and space. At the tutorial's own sizes (16 to 31 frames, 78 to 93 pixels) that map is a single position.
"""

import flax.linen as nn
import jax

from vidjax.layers.plain import ConvAct, WideLayer
from vidjax.ops.conv import Conv
from vidjax.ops.pool import global_avg_pool, max_pool

# name: fields of Model
VARIANTS = {
    "conv_column_5": {},
    "conv_column_6": {"use_norm": True, "hidden": (512, 512, 256)},
}

CHANNELS = (32, 64, 124, 256)  # of the columns
MIN_CLIP = (16, 78, 78)  # T, H, W: time halves four times, and the last kernel needs 3x3 positions


class Column(nn.Module):
    """Two convolutions and a pooling: [N, T, H, W, C] -> [N, T/2, H/2 - 1, W/2 - 1, features].

    The first kernel, of two frames and without padding, drops a frame; the second, padded by one, adds it again.
    """

    features: int
    use_norm: bool = False
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {
            "use_norm": self.use_norm,
            "activation": "leaky_relu",
            "dtype": self.dtype,
            "lowering": self.lowering,
        }
        x = ConvAct(self.features, (2, 3, 3), padding=(0, 0, 0), name="conv1", **common)(
            x, train=train
        )
        x = ConvAct(self.features, (2, 3, 3), padding=(1, 1, 1), name="conv2", **common)(
            x, train=train
        )
        return max_pool(x, (2, 2, 2))


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features` [N, 1, 1, 1, 124 or 256].

    The stem and three stages are columns, the fourth a 1x3x3 convolution without activation; behind it are two wide
    layers with activation, normalisation and dropout, in that order. Raises ValueError for clips below MIN_CLIP.
    """

    use_norm: bool = False  # in the columns
    hidden: tuple[int, int, int] = (
        256,
        256,
        124,
    )  # of the last convolution and the two wide layers
    hidden_dropout: float = 0.15  # behind each wide layer, in training
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        if any(size < least for size, least in zip(video.shape[1:4], MIN_CLIP, strict=True)):
            sizes, least = ("x".join(map(str, shape)) for shape in (video.shape[1:4], MIN_CLIP))
            raise ValueError(
                f"convcolumn takes clips of {least} (frames, height, width) or more, not {sizes}"
            )
        common = {"dtype": self.dtype, "lowering": self.lowering}
        x, endpoints = video, {}
        for stage, channels in enumerate(CHANNELS):
            name = f"stage{stage}" if stage else "stem"
            x = Column(self._scaled(channels), self.use_norm, name=name, **common)(x, train=train)
            endpoints[name] = x
        last, *wide = map(self._scaled, self.hidden)
        endpoints["stage4"] = x = Conv(last, (1, 3, 3), use_bias=True, name="stage4", **common)(x)
        x = global_avg_pool(x)
        for i, features in enumerate(wide, start=5):  # the tutorial's fc5 and fc6
            layer = WideLayer(
                features, True, "leaky_relu", self.hidden_dropout, self.dtype, name=f"fc{i}"
            )
            x = layer(x, train=train)
        return endpoints | {"features": x}

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))
