"""Fusion over time of a 2D network's frames: single frame, early, late and slow fusion, at one or two resolutions.

Karpathy et al., Large-scale Video Classification with Convolutional Neural Networks, CVPR 2014, figures 1 and 2:
C(96,11,3)-N-P-C(256,5,1)-N-P-C(384,3,1)-C(384,3,1)-C(256,3,1)-P-FC(4096)-FC(4096), where N is a response norm. The
paper does not say how it pads; half the kernel on each side gives the 7x7x256 it states. Dropout is that of the network
it takes as its base (Krizhevsky et al., NIPS 2012).

Which frames are seen: the middle `num_frames` of the clip, one after the other; where the clip is shorter, its first
and its last frame are held to make up for what is missing. Late fusion sees the two ends of that window, 15 frames
apart.
"""

import flax.linen as nn
import jax
import numpy as np

from vidjax.layers.plain import ConvAct, WideLayer, flatten
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

# how far the first three kernels reach over time, and their stride; 0 is the whole window
EXTENTS = {"single": (1, 1, 1), "early": (0, 1, 1), "late": (1, 1, 1), "slow": (4, 2, 2)}
STRIDES = {"single": (1, 1, 1), "early": (1, 1, 1), "late": (1, 1, 1), "slow": (2, 2, 2)}
SLOW_FRAMES = 10  # the fewest that leave a frame behind the three kernels of slow fusion


def frames_seen(length: int, num_frames: int, fusion: str) -> tuple[int, ...]:
    """Indices into a clip of `length` frames of those that the network sees; see the top of this file."""
    start = (length - num_frames) // 2
    window = tuple(min(max(i, 0), length - 1) for i in range(start, start + num_frames))
    return (window[0], window[-1]) if fusion == "late" else window


def context_and_fovea(video: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[N, T, H, W, C] -> two of [N, T, H/2, W/2, C]: the frame at half its resolution, and its middle as it is."""
    h, w = (max(size // 2, 1) for size in video.shape[2:4])
    top, left = (video.shape[2] - h) // 2, (video.shape[3] - w) // 2
    return avg_pool(video, (1, 2, 2)), video[:, :, top : top + h, left : left + w]


class Column(nn.Module):
    """Five convolutions: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, each with its norm and pooling.

    `extents` and `strides` in time are those of the first three; without `last_pool` the map stays twice as large.
    """

    extents: tuple[int, int, int]
    strides: tuple[int, int, int]
    last_pool: bool = True
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        # channels, side of the kernel, stride in space, response norm, pooling
        table = (
            (96, 11, 3, True, True),
            (256, 5, 1, True, True),
            (384, 3, 1, False, False),
            (384, 3, 1, False, False),
            (256, 3, 1, False, self.last_pool),
        )
        times = (*zip(self.extents, self.strides, strict=True), (1, 1), (1, 1))
        endpoints = {}
        for i, ((features, k, stride, norm, pool), (kt, st)) in enumerate(
            zip(table, times, strict=True)
        ):
            name = f"stage{i}" if i else "stem"
            x = ConvAct(
                max(1, round(features * self.width)),
                (kt, k, k),
                (st, stride, stride),
                (0, k // 2, k // 2),
                dtype=self.dtype,
                lowering=self.lowering,
                name=name,
            )(x, train=False)  # nothing in it differs in training
            x = local_response_norm(x, beta=0.5) if norm else x
            endpoints[name] = x = max_pool(x, (1, 2, 2)) if pool else x
        return endpoints


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features` [N, 1, 1, 1, 4096].

    With `multires` those are of the context column, and the same with `_fovea` of the other. The columns' maps are laid
    side by side before the first wide layer, which has a row for each position: its parameters fit one size of frames.
    Raises ValueError for a fusion that does not exist and for slow fusion of fewer than 10 frames.
    """

    fusion: str = "single"
    num_frames: int = 1
    multires: bool = False
    hidden_dropout: float = 0.5  # behind each wide layer, in training
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        self._check()
        x = video[:, np.array(frames_seen(video.shape[1], self.num_frames, self.fusion))]
        streams = {"": x}
        if self.multires:
            streams = dict(zip(("", "_fovea"), context_and_fovea(x), strict=True))
        extents = tuple(k or self.num_frames for k in EXTENTS[self.fusion])
        common = {"width": self.width, "dtype": self.dtype, "lowering": self.lowering}
        endpoints, maps = {}, []
        for suffix, stream in streams.items():
            column = Column(
                extents, STRIDES[self.fusion], not self.multires, name=f"column{suffix}", **common
            )
            found = column(stream)
            endpoints |= {name + suffix: x for name, x in found.items()}
            maps.append(flatten(found["stage4"]))
        x = jax.numpy.concatenate(maps, axis=-1)
        for name in ("fc6", "fc7"):
            wide = WideLayer(
                max(1, round(4096 * self.width)),
                dropout=self.hidden_dropout,
                dtype=self.dtype,
                name=name,
            )
            x = wide(x, train=train)
        return endpoints | {"features": x}

    def _check(self) -> None:
        if self.fusion not in EXTENTS:
            raise ValueError(f"fusion is {self.fusion!r}; there are {', '.join(EXTENTS)}")
        least = SLOW_FRAMES if self.fusion == "slow" else 1
        if self.num_frames < least:
            raise ValueError(
                f"num_frames is {self.num_frames}; {self.fusion} fusion takes {least} or more"
            )
