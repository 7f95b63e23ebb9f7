"""Residual networks over clips: R2D, fR2D, mixed 3D and 2D, R3D and R(2+1)D, 18 and 34 layers deep.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, table 1
and figure 1. Departs from it where `midplanes="torchvision"`: both convolutions of a block have the
same mid-channels, so the second one of a block that changes its width is thinner than the paper's,
where each factored pair has as many parameters as the kernel that it replaces.
The 10-layer variants, with one block a stage, are for small machines; they are not in the paper.
"""

import flax.linen as nn
import jax

from vidjax.layers import branch, checks, non_local, temporal
from vidjax.layers.branch import end_of_branch
from vidjax.layers.conv_norm import ConvNorm, Size, styled_conv
from vidjax.layers.non_local import NonLocal
from vidjax.layers.norm import Norm
from vidjax.layers.remat import run_block
from vidjax.layers.style import Style, refuse_causal
from vidjax.layers.temporal import Temporal
from vidjax.layers.widths import scaled

_10, _18, _34 = (1, 1, 1, 1), (2, 2, 2, 2), (3, 4, 6, 3)

# name: fields of Model; the kinds of convolution are those of the stem and of the four stages
VARIANTS = {
    "fr2d_10": {"depths": _10, "kinds": ("2d",) * 5},
    "r3d_10": {"depths": _10, "kinds": ("3d",) * 5},
    "r2plus1d_10": {"depths": _10, "kinds": ("2plus1d",) * 5, "midplanes": "torchvision"},
    "r2d_18": {"depths": _18, "kinds": ("2d",) * 5, "fold_time": True},
    "r2d_34": {"depths": _34, "kinds": ("2d",) * 5, "fold_time": True},
    "fr2d_18": {"depths": _18, "kinds": ("2d",) * 5},
    "fr2d_34": {"depths": _34, "kinds": ("2d",) * 5},
    "mc2_18": {"depths": _18, "kinds": ("3d", "2d", "2d", "2d", "2d")},
    "mc3_18": {"depths": _18, "kinds": ("3d", "3d", "2d", "2d", "2d")},
    "mc4_18": {"depths": _18, "kinds": ("3d", "3d", "3d", "2d", "2d")},
    "mc5_18": {"depths": _18, "kinds": ("3d", "3d", "3d", "3d", "2d")},
    "rmc2_18": {"depths": _18, "kinds": ("2d", "3d", "3d", "3d", "3d")},
    "rmc3_18": {"depths": _18, "kinds": ("2d", "2d", "3d", "3d", "3d")},
    "rmc4_18": {"depths": _18, "kinds": ("2d", "2d", "2d", "3d", "3d")},
    "rmc5_18": {"depths": _18, "kinds": ("2d", "2d", "2d", "2d", "3d")},
    "r3d_18": {"depths": _18, "kinds": ("3d",) * 5},
    "r3d_34": {"depths": _34, "kinds": ("3d",) * 5},
    "r2plus1d_18": {"depths": _18, "kinds": ("2plus1d",) * 5, "midplanes": "torchvision"},
    "r2plus1d_34": {"depths": _34, "kinds": ("2plus1d",) * 5},
}
MAP = "stage4"  # the last endpoint with time and space

KINDS = ("2d", "3d", "2plus1d")
MIDPLANES = ("paper", "torchvision")
STEM_MIDPLANES = 45  # the paper's and torchvision's; more than `num_midplanes` gives


def num_midplanes(features_in: int, features_out: int) -> int:
    """Mid-channels at which a 1x3x3 and a 3x1x1 have the parameters of a 3x3x3 (section 3.5)."""
    return 27 * features_in * features_out // (9 * features_in + 3 * features_out)


class FactoredConv(nn.Module):
    """A convolution in space, then in time: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features]."""

    features: int
    midplanes: int
    size: int = 3  # of the spatial kernel; the temporal one covers three frames
    stride: Size = (1, 1, 1)
    time: Temporal = Temporal()  # of which its stride is in `stride`
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        st, sh, sw = self.stride  # each convolution strides along its own axes
        kernel = (1, self.size, self.size)
        spatial = styled_conv(
            self.midplanes, kernel, stride=(1, sh, sw), style=style, name="spatial"
        )
        x = Norm(style=style, name="norm")(spatial(x), train=train)
        x = style.activate(x)
        temporal = styled_conv(
            self.features,
            self.time.kernel((3, 1, 1)),
            stride=(st, 1, 1),
            dilation=self.time.dilation,
            style=style,
            name="temporal",
        )
        return temporal(x)


class ConvOfKind(nn.Module):
    """A convolution of a kind and its norm: [N, T, H, W, C] -> [N, T', H', W', features].

    `stride` is that of a 3D kernel: "2d", which has no extent in time, ignores its first number.
    With `midplanes` 0 a factored convolution counts its mid-channels from its input and output.
    """

    features: int
    kind: str
    size: int = 3
    stride: Size = (1, 1, 1)
    midplanes: int = 0
    time: Temporal = Temporal()  # as in FactoredConv
    zero_scale: bool = False
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        k, style, time = self.size, self.style, self.time
        if self.kind == "2plus1d":
            midplanes = self.midplanes or num_midplanes(x.shape[-1], self.features)
            conv = FactoredConv(
                self.features, midplanes, k, self.stride, time=time, style=style, name="conv"
            )
            x = conv(x, train=train)
        elif self.kind == "3d":
            conv = styled_conv(
                self.features,
                time.kernel((3, k, k)),
                stride=self.stride,
                dilation=time.dilation,
                style=style,
                name="conv",
            )
            x = conv(x)
        else:
            kernel, stride = (1, k, k), _without_time(self.stride)
            x = styled_conv(self.features, kernel, stride=stride, style=style, name="conv")(x)
        return Norm(style=style, zero_scale=self.zero_scale, name="norm")(x, train=train)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features]."""

    features: int
    kind: str
    stride: Size = (1, 1, 1)
    midplanes: str = "paper"
    time: Temporal = Temporal()  # as in FactoredConv
    squeeze_excite: float = 0.0
    drop_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        midplanes = 0
        if self.midplanes == "torchvision":  # one number for both convolutions
            midplanes = num_midplanes(x.shape[-1], self.features)
        first = ConvOfKind(
            self.features,
            self.kind,
            stride=self.stride,
            midplanes=midplanes,
            time=self.time,
            style=style,
            name="conv1",
        )
        y = style.activate(first(x, train=train))
        second = ConvOfKind(
            self.features,
            self.kind,
            midplanes=midplanes,
            time=self.time,
            zero_scale=style.zero_init_last,
            style=style,
            name="conv2",
        )
        y = end_of_branch(
            second(y, train=train),
            squeeze_excite=self.squeeze_excite,
            drop_rate=self.drop_rate,
            style=style,
            train=train,
        )
        if self.stride != (1, 1, 1) or x.shape[-1] != self.features:
            # The shortcut keeps all frames where the branch does.
            stride = _without_time(self.stride) if self.kind == "2d" else self.stride
            shortcut = ConvNorm(self.features, (1, 1, 1), stride, style=style, name="shortcut")
            x = shortcut(x, train=train)
        return style.activate(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    `features` is the last stage. Space halves in the stem and in stages 2 to 4; time halves in
    those of these stages whose kind has temporal kernels. `width` scales all channels. With
    `fold_time` the frames become channels of one image (R2D), so that T is 1 in every endpoint, and
    the parameters fit clips of one length. The fields from `temporal_kernels` to `remat_blocks` are
    described in docs/knobs.md; mid-channels stay those of three frames.
    """

    depths: tuple[int, ...] = _18
    kinds: tuple[str, ...] = ("3d",) * 5
    midplanes: str = "paper"
    fold_time: bool = False
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
        checks.depths("depths", self.depths, 4)
        checks.stages("kinds", self.kinds, 5)
        for kind in self.kinds:
            checks.one_of("kinds", kind, KINDS)
        checks.one_of("midplanes", self.midplanes, MIDPLANES)
        temporal.check(self, [kind != "2d" for kind in self.kinds])
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, 4)
        if self.fold_time:
            refuse_causal(self.style, "R2D", "the frames are channels of one image")

    def lacks(self) -> dict[str, str]:
        """What heads can need and this backbone does not have; see `layers.endpoints.NEEDS`."""
        if self.fold_time:
            return {"time": "R2D has one time step, as model.fold_time makes frames channels"}
        return {}

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        x = video
        if self.fold_time:
            n, t, h, w, c = x.shape
            x = x.transpose(0, 2, 3, 1, 4)  # [N, H, W, T, C]
            x = x.reshape(n, 1, h, w, t * c)  # [N, 1, H, W, T*C]
        time = temporal.of_stage(self, 0)
        stem = ConvOfKind(
            scaled(64, self.width),
            self.kinds[0],
            size=7,
            stride=time.step((1, 2, 2)),
            midplanes=scaled(STEM_MIDPLANES, self.width),
            time=time,
            style=style,
            name="stem",
        )
        x = style.activate(stem(x, train=train))
        endpoints = {"stem": x}
        rates = branch.drop_rates(self.stochastic_depth, self.depths)
        for stage, depth in enumerate(self.depths, start=1):
            time = temporal.of_stage(self, stage)
            stride = time.step((2, 2, 2) if stage > 1 else (1, 1, 1))
            for number in range(1, depth + 1):
                block = BasicBlock(
                    scaled(32 * 2**stage, self.width),
                    self.kinds[stage],  # the stem's is number 0
                    stride=stride if number == 1 else (1, 1, 1),
                    midplanes=self.midplanes,
                    time=time,
                    squeeze_excite=self.squeeze_excite,
                    drop_rate=rates[stage - 1][number - 1],
                    style=style,
                    name=f"stage{stage}_block{number}",
                )
                x = run_block(block, x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
        endpoints["features"] = x
        return endpoints


def _without_time(stride: Size) -> Size:
    return (1, *stride[1:])
