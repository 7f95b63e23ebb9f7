"""C3D: eight 3x3x3 convolutions, five poolings, two dense layers of 4096.

Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, figure 3;
made for clips of 16x112x112. The last pooling is padded by one in space, as in the weights that are
in circulation (Sports-1M, 487 classes).
`c3d_bn` is not in the paper: it has batch normalisation behind each convolution, and an average in
place of the dense layers, which hold four fifths of C3D's parameters.
"""

import flax.linen as nn
import jax

from vidjax.layers import checks
from vidjax.layers.sequential import ConvAct, DenseAct, flatten
from vidjax.layers.style import Style, refuse_causal, refuse_norm, refuse_zero_init_last
from vidjax.layers.widths import scaled
from vidjax.ops.pool import max_pool

# name: fields of Model
VARIANTS = {
    "c3d": {},
    "c3d_bn": {"use_norm": True, "hidden": ()},
}
MAP = "stage4"  # the last endpoint with time and space

# channels of the convolutions of the stem and of the four stages
CHANNELS = ((64,), (128,), (256, 256), (512, 512), (512, 512))


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    Each endpoint includes its pooling. Pooling halves space five times and time four times; an axis
    that is down to one position stays there, so a clip may be of any size. `features` is
    [N, 1, 1, 1, 4096], or the last stage without `hidden`. The first dense layer has a row for each
    position and channel: parameters fit clips of one size, up to rounding.
    """

    use_norm: bool = False
    hidden: tuple[int, ...] = (4096, 4096)
    hidden_dropout: float = 0.5  # behind each dense layer, in training
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        checks.sizes("hidden", self.hidden)
        checks.share("hidden_dropout", self.hidden_dropout)
        if not self.use_norm:
            refuse_norm(self.style, "This C3D")
        refuse_zero_init_last(self.style, "C3D")
        refuse_causal(self.style, "C3D", "it pools over time")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x = video
        endpoints = {}
        for stage in range(len(CHANNELS)):
            endpoint = "stem" if stage == 0 else f"stage{stage}"
            x = self._convolutions(x, stage, train=train)
            x = _pool(x, stage)
            endpoints[endpoint] = x
        if self.hidden:
            x = flatten(x)  # [N, 1, 1, 1, T*H*W*C]
        for number, features in enumerate(self.hidden, start=6):  # the paper's fc6 and fc7
            dense = DenseAct(
                scaled(features, self.width),
                dropout=self.hidden_dropout,
                style=self.style,
                name=f"fc{number}",
            )
            x = dense(x, train=train)
        endpoints["features"] = x
        return endpoints

    def _convolutions(self, x: jax.Array, stage: int, *, train: bool) -> jax.Array:
        """The convolutions of one stage; 0 is the stem, which has a single one."""
        for number, channels in enumerate(CHANNELS[stage], start=1):
            conv = ConvAct(
                scaled(channels, self.width),
                use_norm=self.use_norm,
                style=self.style,
                name="stem" if stage == 0 else f"stage{stage}_conv{number}",
            )
            x = conv(x, train=train)
        return x


def _pool(x: jax.Array, stage: int) -> jax.Array:
    if stage == 0:
        return max_pool(x, (1, 2, 2))  # the stem keeps all frames
    if stage == 4:
        # Not in the paper, but the weights in circulation have 4x4 positions here, not 3x3.
        return max_pool(x, (2, 2, 2), padding=(0, 1, 1))
    return max_pool(x, (2, 2, 2))
