"""Residual networks with a pooled stem or bottlenecks: C2D, I3D, Slow, R(2+1)D, Hara's networks.

C2D and I3D of Wang et al., Non-local Neural Networks, CVPR 2018, tables 1 and 2; Slow, the slow
pathway alone, of Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019, table 1
(4x16 and 8x8 are one network and differ in how clips are sampled); R(2+1)D with bottlenecks; all
four as in pytorchvideo 0.1.5. `*_hara`, ResNeXt and Wide ResNet are those of Hara et al., Can
Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018, with shortcut B. The
stems of the last two have 128 channels as in the authors' later code, where the paper has 64.
"""

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers import branch, checks, non_local, temporal
from vidjax.layers.conv_norm import ConvNorm, Size
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.residual import BasicBlock, Bottleneck
from vidjax.layers.style import Style, refuse_causal
from vidjax.layers.widths import scaled
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
_TWICE_INSIDE = {"stem_channels": 128, "inner_factor": 2, **_HARA}

# name: fields of Model
VARIANTS = {
    "r3d_10_hara": {"depths": _10, "basic": True, **_HARA},
    "r3d_18_hara": {"depths": _18, "basic": True, **_HARA},
    "r3d_34_hara": {"depths": _34, "basic": True, **_HARA},
    "r3d_50_hara": {"depths": _50, **_HARA},
    "r3d_101_hara": {"depths": _101, **_HARA},
    "r3d_152_hara": {"depths": _152, **_HARA},
    "r3d_200_hara": {"depths": _200, **_HARA},
    "resnext_50": {"depths": _50, "groups": 32, **_TWICE_INSIDE},
    "resnext_101": {"depths": _101, "groups": 32, **_TWICE_INSIDE},
    "wide_resnet_50": {"depths": _50, **_TWICE_INSIDE},
    "c2d_r50": {"depths": _50, **_C2D},
    "c2d_r101": {"depths": _101, **_C2D},
    "i3d_r50": {"depths": _50, **_I3D},
    "i3d_r101": {"depths": _101, **_I3D},
    "r2plus1d_r50": {"depths": _50, **_R2PLUS1D},
    "r2plus1d_r101": {"depths": _101, **_R2PLUS1D},
    "slow_r50": {"depths": _50, **_SLOW},
    "slow_r101": {"depths": _101, **_SLOW},
}
MAP = "stage4"  # the last endpoint with time and space

KINDS = ("2d", "3d", "2plus1d")
# kind: (kernel of a bottleneck's second convolution, kernel of one more ahead of it)
MIDDLE_KERNELS = {
    "2d": ((1, 3, 3), None),
    "3d": ((3, 3, 3), None),
    "2plus1d": ((1, 3, 3), (3, 1, 1)),
}


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem` (pooled), `stage1` to `stage4`, and `features`.

    `features` is the last stage.

    Fields:
        depths: blocks in each stage.
        basic: blocks of two 3x3x3 convolutions in place of bottlenecks.
        kind: of a bottleneck's wide convolution: "2d" is 1x3x3, "3d" is 3x3x3, "2plus1d" is 3x1x1
            and then 1x3x3.
        groups: of a bottleneck's wide convolution, which do not see each other's channels
            (ResNeXt's cardinality). The channels inside are rounded to a multiple of it.
        inner_factor: channels inside a bottleneck over those of a ResNet (Wide ResNet's k).
        times: temporal extents of a bottleneck's first convolution, a cycle over the blocks of each
            stage.
        strides: of the first block of each stage.
        stem_kernel: kernel of the first convolution.
        stem_channels: channels of that convolution.
        stem_pool: window of the pooling behind it, which moves by two along the axes on which it
            covers more than one position; () leaves it out.
        halve_time: takes the maximum of each two frames behind stage 1.
        temporal_kernels to remat_blocks: as in docs/knobs.md; a temporal stride replaces that of
            the pooling, where the stem or `halve_time` pools over time.
        width: scales all channels.
    """

    depths: tuple[int, ...] = _50
    basic: bool = False
    kind: str = "2d"
    groups: int = 1
    inner_factor: int = 1
    times: tuple[tuple[int, ...], ...] = ((1,), (1,), (1,), (1,))
    strides: tuple[Size, ...] = ((1, 1, 1), (1, 2, 2), (1, 2, 2), (1, 2, 2))
    stem_kernel: Size = (1, 7, 7)
    stem_channels: int = 64
    stem_pool: tuple[int, ...] = (1, 3, 3)
    halve_time: bool = False
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    stochastic_depth: float = 0.0
    squeeze_excite: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        checks.one_of("kind", self.kind, KINDS)
        checks.depths("depths", self.depths, 4)
        checks.stages("times", self.times, 4)
        checks.stages("strides", self.strides, 4)
        checks.sizes("stem_kernel", self.stem_kernel)
        checks.sizes("stem_pool", self.stem_pool)
        for field in ("groups", "inner_factor", "stem_channels"):
            checks.at_least(field, getattr(self, field), 1)
        for field in ("groups", "inner_factor"):
            if self.basic and getattr(self, field) > 1:
                raise UserError(
                    f"model.{field} belongs to bottlenecks, and model.basic chooses other blocks."
                )
        for stage_times in self.times:
            checks.not_empty("times", stage_times)
            checks.sizes("times", stage_times)
        for stride in self.strides:
            checks.sizes("strides", stride)
        if len(self.stem_pool) not in (0, 3):
            raise UserError(f"model.stem_pool is {self.stem_pool}; it has three numbers or none.")
        has_kernel = [self.stem_kernel[0] > 1]
        for stage_times, depth in zip(self.times, self.depths, strict=True):
            longest = max(stage_times[:depth])
            has_kernel.append(self.basic or self.kind != "2d" or longest > 1)
        has_stride = list(has_kernel)
        has_stride[0] |= self._stem_pools_time()
        has_stride[1] |= self.halve_time
        temporal.check(self, has_kernel, has_stride)
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, 4)
        if self.halve_time or (self.stem_pool and self.stem_pool[0] > 1):
            refuse_causal(self.style, "This residual network", "it pools over time")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        time = temporal.of_stage(self, 0)
        stem = ConvNorm(
            scaled(self.stem_channels, self.width),
            time.kernel(self.stem_kernel),
            (1, 2, 2) if self._stem_pools_time() else time.step((1, 2, 2)),
            dilation=time.dilation,
            style=self.style,
            name="stem",
        )
        x = self.style.activate(stem(video, train=train))
        if self.stem_pool:
            # Along an axis on which the window covers one position, nothing is pooled.
            stride = tuple(min(k, 2) for k in self.stem_pool)
            window = self.stem_pool
            if self._stem_pools_time():
                window, stride = time.pooling(window, stride)
            padding = tuple(k // 2 for k in window)
            x = max_pool(x, window, stride, padding)
        endpoints = {"stem": x}
        for stage, depth in enumerate(self.depths, start=1):
            for block in range(1, depth + 1):
                x = run_block(self._block(stage, block), x, train=train, remat=self.remat_blocks)
            if stage == 1 and self.halve_time:
                step, _, _ = temporal.of_stage(self, 1).step((2, 1, 1))
                x = max_pool(x, (min(step, x.shape[1]), 1, 1))  # a single frame stays
            if stage in self.non_local:
                x = NonLocal(style=self.style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
        endpoints["features"] = x
        return endpoints

    def _block(self, stage: int, block: int) -> nn.Module:
        time = temporal.of_stage(self, stage)
        stride = self.strides[stage - 1] if block == 1 else (1, 1, 1)
        pools_time = stage == 1 and self.halve_time  # in place of its first block
        if block == 1 and not pools_time:
            stride = time.step(stride)
        rates = branch.drop_rates(self.stochastic_depth, self.depths)
        inner = self.inner_factor * 32 * 2**stage
        inner = scaled(inner, self.width, multiple=self.groups)
        name = f"stage{stage}_block{block}"
        if self.basic:
            return BasicBlock(
                inner,
                kernels=(time.kernel((3, 3, 3)),) * 2,
                stride=stride,
                dilation=time.dilation,
                squeeze_excite=self.squeeze_excite,
                drop_rate=rates[stage - 1][block - 1],
                style=self.style,
                name=name,
            )
        times = self.times[stage - 1]  # a cycle, which may be shorter than the stage is deep
        first = (times[(block - 1) % len(times)], 1, 1)
        middle, lead = MIDDLE_KERNELS[self.kind]
        if lead is not None:
            lead = time.kernel(lead)
        return Bottleneck(
            scaled(128 * 2**stage, self.width),
            inner,
            kernels=(time.kernel(first), time.kernel(middle), (1, 1, 1)),
            stride=stride,
            groups=self.groups,
            dilation=time.dilation,
            lead=lead,
            squeeze_excite=self.squeeze_excite,
            drop_rate=rates[stage - 1][block - 1],
            style=self.style,
            name=name,
        )

    def _stem_pools_time(self) -> bool:
        return bool(self.stem_pool) and self.stem_pool[0] > 1
