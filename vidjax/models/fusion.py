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

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import UserError
from vidjax.layers import checks, non_local, temporal
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.sequential import ConvAct, DenseAct, flatten
from vidjax.layers.style import Style, refuse_causal, refuse_norm, refuse_zero_init_last
from vidjax.layers.temporal import Temporal
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


def least_frames(times: Sequence[Temporal]) -> int:
    """The fewest frames of which one is left behind convolutions without padding in time."""
    least = 1
    for time in reversed(times):
        spanned = (time.frames - 1) * time.dilation + 1
        least = (least - 1) * time.stride + spanned
    return least


class Column(nn.Module):
    """Five convolutions: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`.

    Endpoints include response norm and pooling. `times` are frames, step and dilation of the
    kernels. Without `last_pool` the last map stays twice as large.
    """

    times: tuple[Temporal, ...]
    last_pool: bool = True
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        endpoints = {}
        for stage, (channels, k, stride, response_norm) in enumerate(CONVOLUTIONS):
            name = "stem" if stage == 0 else f"stage{stage}"
            time = self.times[stage]
            conv = ConvAct(
                scaled(channels, self.width),
                (time.frames, k, k),
                (time.stride, stride, stride),
                padding=(0, k // 2, k // 2),
                dilation=time.dilation,
                style=self.style,
                name=name,
            )
            x = run_block(conv, x, train=train, remat=self.remat_blocks)
            if response_norm:
                x = local_response_norm(x, beta=0.5)
            if stage in (0, 1) or (stage == 4 and self.last_pool):
                x = max_pool(x, (1, 2, 2))
            if stage in self.non_local:
                attend = NonLocal(use_norm=False, style=self.style, name=f"{name}_non_local")
                x = attend(x, train=train)
            endpoints[name] = x
        return endpoints


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    `features` is [N, 1, 1, 1, 4096]. With `multires` there are two columns: these are the endpoints
    of the one that reads the context, and the same names with `_fovea` are those of the other. Both
    maps are flattened and concatenated ahead of the first dense layer, which has a row for each
    position: parameters fit frames of one size. Slow fusion takes 10 frames or more, unless other
    temporal kernels leave a frame of fewer. The fields from `temporal_kernels` to `remat_blocks`
    are described in docs/knobs.md; there is no padding in time.
    """

    fusion: str = "single"
    num_frames: int = 1
    multires: bool = False
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
        checks.one_of("fusion", self.fusion, tuple(TEMPORAL_KERNELS))
        checks.at_least("num_frames", self.num_frames, 1)
        own_kernels = TEMPORAL_KERNELS[self.fusion]
        has_kernel = [frames != 1 for frames in (*own_kernels, 1, 1)]
        temporal.check(self, has_kernel, even_kernels=True)
        times = self._times()
        if times[0].dilation > 1 and times[0].frames == self.num_frames > 1:
            raise UserError(
                f"model.temporal_dilations is {self.temporal_dilations}, but the first kernel "
                f"covers all {self.num_frames} frames; choose fewer by model.temporal_kernels."
            )
        checks.at_least("num_frames", self.num_frames, least_frames(times))
        non_local.check(self.non_local, len(CONVOLUTIONS) - 1)
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
            endpoints = self._column("column")(context, train=train)
            x = flatten(endpoints[MAP])  # [N, 1, 1, 1, T*H*W*C]
            # The columns share no parameters.
            of_fovea = self._column("column_fovea")(fovea, train=train)
            x = jnp.concatenate([x, flatten(of_fovea[MAP])], axis=-1)
            for name, endpoint in of_fovea.items():
                endpoints[f"{name}_fovea"] = endpoint
        else:
            endpoints = self._column("column")(x, train=train)
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
        return {"time": "a fusion network has one time step behind its last convolution"}

    def _times(self) -> tuple[Temporal, ...]:
        """Frames, step and dilation of every convolution."""
        own = zip(TEMPORAL_KERNELS[self.fusion], TEMPORAL_STRIDES[self.fusion], strict=True)
        times = []
        for stage, (frames, stride) in enumerate(own):
            time = temporal.of_stage(self, stage)
            times.append(
                Temporal(
                    time.frames or frames or self.num_frames, time.stride or stride, time.dilation
                )
            )
        return (*times, Temporal(1, 1), Temporal(1, 1))

    def _column(self, name: str) -> Column:
        return Column(
            self._times(),
            last_pool=not self.multires,
            non_local=self.non_local,
            remat_blocks=self.remat_blocks,
            width=self.width,
            style=self.style,
            name=name,
        )
