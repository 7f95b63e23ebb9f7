"""C3D: eight 3x3x3 convolutions, five poolings, two dense layers of 4096.

Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, figure 3;
made for clips of 16x112x112. The last pooling is padded by one in space, as in the weights that are
in circulation (Sports-1M, 487 classes).
`c3d_bn` is not in the paper: it has batch normalisation behind each convolution, and an average in
place of the dense layers, which hold four fifths of C3D's parameters.
"""

import flax.linen as nn
import jax

from vidjax.layers import checks, non_local, temporal
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.sequential import ConvAct, DenseAct, flatten
from vidjax.layers.style import Style, refuse_causal, refuse_norm, refuse_zero_init_last
from vidjax.layers.temporal import Temporal
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
    position and channel: parameters fit clips of one size, up to rounding. The fields from
    `temporal_kernels` to `remat_blocks` are described in docs/knobs.md; temporal strides are those
    of the poolings.
    """

    use_norm: bool = False
    hidden: tuple[int, ...] = (4096, 4096)
    hidden_dropout: float = 0.5  # behind each dense layer, in training
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
        temporal.check(self, (True,) * len(CHANNELS))
        non_local.check(self.non_local, len(CHANNELS) - 1)
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
            x = _pool(x, stage, temporal.of_stage(self, stage))
            if stage in self.non_local:
                attend = NonLocal(self.use_norm, style=self.style, name=f"{endpoint}_non_local")
                x = attend(x, train=train)
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
        time = temporal.of_stage(self, stage)
        for number, channels in enumerate(CHANNELS[stage], start=1):
            conv = ConvAct(
                scaled(channels, self.width),
                time.kernel((3, 3, 3)),
                dilation=time.dilation,
                use_norm=self.use_norm,
                style=self.style,
                name="stem" if stage == 0 else f"stage{stage}_conv{number}",
            )
            x = run_block(conv, x, train=train, remat=self.remat_blocks)
        return x


def _pool(x: jax.Array, stage: int, time: Temporal) -> jax.Array:
    window = (1, 2, 2) if stage == 0 else (2, 2, 2)  # the stem keeps all frames
    # Not in the paper, but the weights in circulation have 4x4 positions at the end, not 3x3.
    padding = (0, 1, 1) if stage == 4 else (0, 0, 0)
    return max_pool(x, time.step(window), padding=padding)
