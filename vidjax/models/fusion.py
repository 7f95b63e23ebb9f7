"""Fusion over time of a 2D network's frames: single frame, early, late and slow.

Each exists at one and at two resolutions.

Karpathy et al., Large-scale Video Classification with Convolutional Neural Networks, CVPR 2014,
figures 1 and 2: C(96,11,3)-N-P-C(256,5,1)-N-P-C(384,3,1)-C(384,3,1)-C(256,3,1)-P-FC(4096)-FC(4096),
where N is a response norm. The paper does not say how it pads; half the kernel on each side gives
the 7x7x256 that it states. Dropout is that of the network it builds on (Krizhevsky et al., NIPS
2012).

The network reads the middle `num_frames` of the clip in a row. A shorter clip is extended by
repeating its first and its last frame. Late fusion reads the two ends of that window only, 15
frames apart.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.layers import checks
from vidjax.layers.sequential import ConvAct, DenseAct, flatten
from vidjax.layers.style import Style, refuse_causal, refuse_norm, refuse_zero_init_last
from vidjax.layers.widths import scaled
from vidjax.ops.pool import avg_pool, max_pool
from vidjax.ops.response_norm import local_response_norm

# name: fields of Model
VARIANTS = {
    "single_frame": {"fusion": "single", "num_frames": 1},
    "early_fusion": {"fusion": "early", "num_frames": 10},
    "late_fusion": {"fusion": "late", "num_frames": 16},
    "slow_fusion": {"fusion": "slow", "num_frames": 10},
    "single_frame_multires": {"fusion": "single", "num_frames": 1, "multires": True},
    "early_fusion_multires": {"fusion": "early", "num_frames": 10, "multires": True},
    "late_fusion_multires": {"fusion": "late", "num_frames": 16, "multires": True},
    "slow_fusion_multires": {"fusion": "slow", "num_frames": 10, "multires": True},
}
MAP = "stage4"  # the last endpoint with time and space

# temporal kernels of the first three convolutions, and their strides in time; 0 is all frames
TEMPORAL_KERNELS = {"single": (1, 1, 1), "early": (0, 1, 1), "late": (1, 1, 1), "slow": (4, 2, 2)}
TEMPORAL_STRIDES = {"single": (1, 1, 1), "early": (1, 1, 1), "late": (1, 1, 1), "slow": (2, 2, 2)}
MIN_SLOW_FRAMES = 10  # fewer leave no frame behind the three temporal kernels of slow fusion

# of each convolution: channels, kernel and stride in space, whether a response norm follows
CONVOLUTIONS = (
    (96, 11, 3, True),
    (256, 5, 1, True),
    (384, 3, 1, False),
    (384, 3, 1, False),
    (256, 3, 1, False),
)
HIDDEN = 4096  # of both dense layers


def frames_read(length: int, num_frames: int, fusion: str) -> tuple[int, ...]:
    """The frames of a clip of `length` frames that the network reads, in order."""
    start = (length - num_frames) // 2
    window = tuple(min(max(i, 0), length - 1) for i in range(start, start + num_frames))
    if fusion == "late":
        return window[0], window[-1]
    return window


def context_and_fovea(video: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(frames at half resolution, their middle at full resolution), both [N, T, H/2, W/2, C]."""
    height, width = video.shape[2:4]
    h, w = max(height // 2, 1), max(width // 2, 1)
    top, left = (height - h) // 2, (width - w) // 2
    context = avg_pool(video, (1, 2, 2))
    return context, video[:, :, top : top + h, left : left + w]


class Column(nn.Module):
    """Five convolutions: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`.

    Endpoints include response norm and pooling. `temporal_kernels` and `temporal_strides` are those
    of the first three convolutions. Without `last_pool` the last map stays twice as large.
    """

    temporal_kernels: tuple[int, int, int]
    temporal_strides: tuple[int, int, int]
    last_pool: bool = True
    width: float = 1.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        kernels = (*self.temporal_kernels, 1, 1)
        strides = (*self.temporal_strides, 1, 1)
        endpoints = {}
        for stage, (channels, k, stride, response_norm) in enumerate(CONVOLUTIONS):
            name = "stem" if stage == 0 else f"stage{stage}"
            conv = ConvAct(
                scaled(channels, self.width),
                (kernels[stage], k, k),
                (strides[stage], stride, stride),
                padding=(0, k // 2, k // 2),
                style=self.style,
                name=name,
            )
            x = conv(x, train=False)  # without a batch norm it is the same in training
            if response_norm:
                x = local_response_norm(x, beta=0.5)
            if stage in (0, 1) or (stage == 4 and self.last_pool):
                x = max_pool(x, (1, 2, 2))
            endpoints[name] = x
        return endpoints


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    `features` is [N, 1, 1, 1, 4096]. With `multires` there are two columns: these are the endpoints
    of the one that reads the context, and the same names with `_fovea` are those of the other. Both
    maps are flattened and concatenated ahead of the first dense layer, which has a row for each
    position: parameters fit frames of one size. Slow fusion takes 10 frames or more.
    """

    fusion: str = "single"
    num_frames: int = 1
    multires: bool = False
    hidden_dropout: float = 0.5  # behind each dense layer, in training
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.one_of("fusion", self.fusion, tuple(TEMPORAL_KERNELS))
        checks.at_least("num_frames", self.num_frames, MIN_SLOW_FRAMES if self._is_slow() else 1)
        checks.above_zero("width", self.width)
        checks.share("hidden_dropout", self.hidden_dropout)
        refuse_norm(self.style, "A fusion network")
        refuse_zero_init_last(self.style, "A fusion network")
        refuse_causal(self.style, "A fusion network", "it reads the middle of the clip")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x = video[:, np.array(frames_read(video.shape[1], self.num_frames, self.fusion))]
        if self.multires:
            context, fovea = context_and_fovea(x)
            endpoints = self._column("column")(context)
            x = flatten(endpoints[MAP])  # [N, 1, 1, 1, T*H*W*C]
            # The columns share no parameters.
            of_fovea = self._column("column_fovea")(fovea)
            x = jnp.concatenate([x, flatten(of_fovea[MAP])], axis=-1)
            for name, endpoint in of_fovea.items():
                endpoints[f"{name}_fovea"] = endpoint
        else:
            endpoints = self._column("column")(x)
            x = flatten(endpoints[MAP])  # [N, 1, 1, 1, T*H*W*C]
        for name in ("fc6", "fc7"):
            dense = DenseAct(
                scaled(HIDDEN, self.width),
                dropout=self.hidden_dropout,
                style=self.style,
                name=name,
            )
            x = dense(x, train=train)
        endpoints["features"] = x
        return endpoints

    def lacks(self) -> dict[str, str]:
        """What heads can need and this backbone does not have; see `layers.endpoints.NEEDS`."""
        return {"time": "A fusion network has one time step behind its last convolution."}

    def _is_slow(self) -> bool:
        return self.fusion == "slow"

    def _column(self, name: str) -> Column:
        kernels = tuple(frames or self.num_frames for frames in TEMPORAL_KERNELS[self.fusion])
        return Column(
            kernels,
            TEMPORAL_STRIDES[self.fusion],
            last_pool=not self.multires,
            width=self.width,
            style=self.style,
            name=name,
        )
