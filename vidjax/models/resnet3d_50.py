"""Residual networks over clips with a pooled stem or bottlenecks: C2D, I3D, Slow, R(2+1)D and Hara's R3D.

C2D and I3D of Wang et al., Non-local Neural Networks, CVPR 2018, tables 1 and 2; Slow, the slow pathway alone, of
Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019, table 1 (4x16 and 8x8 are one network and
differ in how clips are sampled); R(2+1)D with bottlenecks; all four as in pytorchvideo 0.1.5. `*_hara` are those of
Hara et al., Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018, with shortcut B.
"""

import flax.linen as nn
import jax

from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.residual import BasicBlock, Bottleneck, Size
from vidjax.ops.pool import max_pool

_10, _18, _34 = (1, 1, 1, 1), (2, 2, 2, 2), (3, 4, 6, 3)
_50, _101, _152, _200 = _34, (3, 4, 23, 3), (3, 8, 36, 3), (3, 24, 36, 3)

_C2D = {"times": ((1,), (1,), (1,), (1,)), "halve_time": True}
_I3D = {"stem_kernel": (5, 7, 7), "times": ((3,), (3, 1), (3, 1), (1, 3)), "halve_time": True}
_SLOW = {"times": ((1,), (1,), (3,), (3,))}
_R2PLUS1D = {
    "kind": "2plus1d",
    "stem_pool": (),
    "strides": ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
}
_HARA = {
    "kind": "3d",
    "stem_kernel": (7, 7, 7),
    "stem_pool": (3, 3, 3),
    "strides": ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
}

# name: fields of Model
VARIANTS = {
    "r3d_10_hara": {"depths": _10, "basic": True, **_HARA},
    "r3d_18_hara": {"depths": _18, "basic": True, **_HARA},
    "r3d_34_hara": {"depths": _34, "basic": True, **_HARA},
    "r3d_50_hara": {"depths": _50, **_HARA},
    "r3d_101_hara": {"depths": _101, **_HARA},
    "r3d_152_hara": {"depths": _152, **_HARA},
    "r3d_200_hara": {"depths": _200, **_HARA},
    "c2d_r50": {"depths": _50, **_C2D},
    "c2d_r101": {"depths": _101, **_C2D},
    "i3d_r50": {"depths": _50, **_I3D},
    "i3d_r101": {"depths": _101, **_I3D},
    "r2plus1d_r50": {"depths": _50, **_R2PLUS1D},
    "r2plus1d_r101": {"depths": _101, **_R2PLUS1D},
    "slow_r50": {"depths": _50, **_SLOW},
    "slow_r101": {"depths": _101, **_SLOW},
}

KINDS = ("2d", "3d", "2plus1d")


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem` (pooled), `stage1` to `stage4`, and `features`, the last of them.

    `kind` is that of a block's wide convolution: "2d" 1x3x3, "3d" 3x3x3, "2plus1d" 3x1x1 and then 1x3x3. `times` are
    the extents in time of a bottleneck's first convolution, for each stage a cycle over its blocks. A pool with
    `stem_pool` moves by two where it reaches over more than one value, () leaves it out; `halve_time` takes the larger
    of two frames behind stage 1. `width` scales all channels.
    """

    depths: tuple[int, ...] = _50
    basic: bool = False  # blocks of two 3x3x3 convolutions
    kind: str = "2d"
    times: tuple[tuple[int, ...], ...] = ((1,), (1,), (1,), (1,))
    strides: tuple[Size, ...] = (
        (1, 1, 1),
        (1, 2, 2),
        (1, 2, 2),
        (1, 2, 2),
    )  # of a stage's first block
    stem_kernel: Size = (1, 7, 7)
    stem_pool: tuple[int, ...] = (1, 3, 3)
    halve_time: bool = False
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; there are {', '.join(KINDS)}")
        common = {"dtype": self.dtype, "lowering": self.lowering}
        x = ConvNorm(self._scaled(64), self.stem_kernel, (1, 2, 2), name="stem", **common)(
            video, train=train
        )
        x = nn.relu(x)
        if self.stem_pool:
            stride, padding = zip(*((min(k, 2), k // 2) for k in self.stem_pool), strict=True)
            x = max_pool(x, self.stem_pool, stride, padding)
        endpoints = {"stem": x}
        for stage, depth in enumerate(self.depths, start=1):
            for block in range(1, depth + 1):
                x = self._block(stage, block)(x, train=train)
            if stage == 1 and self.halve_time:
                x = max_pool(x, (min(2, x.shape[1]), 1, 1))  # a single frame stays
            endpoints[f"stage{stage}"] = x
        return endpoints | {"features": x}

    def _block(self, stage: int, block: int) -> nn.Module:
        stride = self.strides[stage - 1] if block == 1 else (1, 1, 1)
        common = {
            "stride": stride,
            "dtype": self.dtype,
            "lowering": self.lowering,
            "name": f"stage{stage}_block{block}",
        }
        inner = self._scaled(32 * 2**stage)
        if self.basic:
            return BasicBlock(inner, **common)
        times = self.times[stage - 1]
        first = (times[(block - 1) % len(times)], 1, 1)
        middle = (3, 3, 3) if self.kind == "3d" else (1, 3, 3)
        lead = (3, 1, 1) if self.kind == "2plus1d" else None
        features = self._scaled(128 * 2**stage)
        return Bottleneck(features, inner, (first, middle, (1, 1, 1)), lead=lead, **common)

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))
