"""C3D: eight 3x3x3 convolutions, five poolings, two layers of 4096.

Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, figure 3; made for 16x112x112.
The last pooling is padded by one in space, as in the weights that are passed around (Sports-1M, 487 classes).
`c3d_bn` is not in the paper: batch normalisation behind each convolution, and an average in place of the wide layers,
which hold four fifths of C3D's parameters.
"""

import flax.linen as nn
import jax

from vidjax.layers.plain import ConvAct, WideLayer, flatten
from vidjax.ops.pool import max_pool

# name: fields of Model
VARIANTS = {
    "c3d": {},
    "c3d_bn": {"use_norm": True, "hidden": ()},
}

CHANNELS = (
    (64,),
    (128,),
    (256, 256),
    (512, 512),
    (512, 512),
)  # of the convolutions of the stem and four stages


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, each behind its pooling, and `features`.

    `features` is [N, 1, 1, 1, 4096], dropout included, or without `hidden` the last stage. Pooling halves space five
    times and time four times; an axis that is down to one position stays there, so any clip will do. The first wide
    layer has a row for each position and channel: its parameters fit clips of one size (up to rounding).
    """

    use_norm: bool = False
    hidden: tuple[int, ...] = (4096, 4096)
    hidden_dropout: float = 0.5  # behind each wide layer, in training
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x, endpoints = video, {}
        for stage, widths in enumerate(CHANNELS):
            endpoint = f"stage{stage}" if stage else "stem"
            for i, channels in enumerate(widths, start=1):
                name = f"{endpoint}_conv{i}" if stage else endpoint
                conv = ConvAct(
                    self._scaled(channels),
                    use_norm=self.use_norm,
                    dtype=self.dtype,
                    lowering=self.lowering,
                    name=name,
                )
                x = conv(x, train=train)
            window = (2, 2, 2) if stage else (1, 2, 2)  # the stem keeps its frames
            x = max_pool(x, window, padding=(0, 1, 1) if stage == 4 else (0, 0, 0))
            endpoints[endpoint] = x
        if self.hidden:
            x = flatten(x)
        for i, features in enumerate(self.hidden, start=6):  # the paper's fc6 and fc7
            wide = WideLayer(
                self._scaled(features), dropout=self.hidden_dropout, dtype=self.dtype, name=f"fc{i}"
            )
            x = wide(x, train=train)
        return endpoints | {"features": x}

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))
