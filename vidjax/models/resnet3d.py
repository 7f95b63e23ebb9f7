"""Residual networks over clips: R2D, fR2D, mixed 3D/2D both ways round, R3D and R(2+1)D, 18 and 34 layers deep.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, table 1 and figure 1.
Departs from it where `midplanes="torchvision"`: one inner width per block, so the second convolution of a block that
changes its width is thinner than the paper's, where each factored pair has the parameters of the kernel it replaces.
The 10-layer variants, one block a stage, are for small machines; they are not in the paper.
"""

import flax.linen as nn
import jax

from vidjax.layers import conv_norm as blocks
from vidjax.ops.conv import Conv
from vidjax.ops.norm import BatchNorm

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

MIDPLANES = ("paper", "torchvision")
STEM_MIDPLANES = 45  # the paper's and torchvision's; more than the rule below gives


def num_midplanes(features_in: int, features_out: int) -> int:
    """Inner width at which a 1x3x3 and a 3x1x1 kernel hold as many numbers as the 3x3x3 they replace (section 3.5)."""
    return 27 * features_in * features_out // (9 * features_in + 3 * features_out)


class FactoredConv(nn.Module):
    """A convolution in space, then one in time: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features]."""

    features: int
    midplanes: int
    size: int = 3
    stride: tuple[int, int, int] = (1, 1, 1)
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        k, (st, sh, sw) = self.size, self.stride
        common = {"dtype": self.dtype, "lowering": self.lowering}
        x = Conv(
            self.midplanes, (1, k, k), (1, sh, sw), (0, k // 2, k // 2), name="spatial", **common
        )(x)
        x = nn.relu(BatchNorm(dtype=self.dtype, name="norm")(x, train=train))
        return Conv(self.features, (3, 1, 1), (st, 1, 1), (1, 0, 0), name="temporal", **common)(x)


class ConvNorm(nn.Module):
    """A convolution of one of the three kinds and its normalisation; `stride` is that of a 3D kernel.

    A kernel without extent in time keeps the frames: "2d" ignores the stride in time.
    """

    features: int
    kind: str
    size: int = 3
    stride: tuple[int, int, int] = (1, 1, 1)
    midplanes: int = 0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        k, common = self.size, {"dtype": self.dtype, "lowering": self.lowering, "name": "conv"}
        if self.kind == "2plus1d":
            midplanes = self.midplanes or num_midplanes(x.shape[-1], self.features)
            x = FactoredConv(self.features, midplanes, k, self.stride, **common)(x, train=train)
        elif self.kind == "3d":
            x = Conv(self.features, (3, k, k), self.stride, (1, k // 2, k // 2), **common)(x)
        else:
            x = Conv(
                self.features, (1, k, k), (1, *self.stride[1:]), (0, k // 2, k // 2), **common
            )(x)
        return BatchNorm(dtype=self.dtype, name="norm")(x, train=train)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features]."""

    features: int
    kind: str
    stride: tuple[int, int, int] = (1, 1, 1)
    midplanes: str = "paper"
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        # torchvision counts the inner width once, from the block's input; 0 leaves it to each convolution
        inner = num_midplanes(x.shape[-1], self.features) if self.midplanes == "torchvision" else 0
        y = ConvNorm(self.features, self.kind, 3, self.stride, inner, name="conv1", **common)(
            x, train=train
        )
        y = ConvNorm(self.features, self.kind, 3, midplanes=inner, name="conv2", **common)(
            nn.relu(y), train=train
        )
        if self.stride != (1, 1, 1) or x.shape[-1] != self.features:
            stride = (1, *self.stride[1:]) if self.kind == "2d" else self.stride
            x = blocks.ConvNorm(self.features, (1, 1, 1), stride, name="shortcut", **common)(
                x, train=train
            )
        return nn.relu(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`, which is the last of them.

    Space halves in the stem and in stages 2 to 4; time halves in those stages where the convolutions reach over time.
    `width` scales all channels. With `fold_time` the frames become channels of one image (R2D), T is 1 from there on.
    """

    depths: tuple[int, ...] = _18
    kinds: tuple[str, ...] = ("3d",) * 5
    midplanes: str = "paper"
    fold_time: bool = False
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        if self.midplanes not in MIDPLANES:
            raise ValueError(f"midplanes is {self.midplanes!r}; there are {', '.join(MIDPLANES)}")
        common = {"dtype": self.dtype, "lowering": self.lowering}
        x = video
        if self.fold_time:
            n, t, h, w, c = x.shape
            x = x.transpose(0, 2, 3, 1, 4).reshape(n, 1, h, w, t * c)  # [N, 1, H, W, T*C]
        inner = self._scaled(STEM_MIDPLANES)
        x = ConvNorm(self._scaled(64), self.kinds[0], 7, (1, 2, 2), inner, name="stem", **common)(
            x, train=train
        )
        endpoints = {"stem": (x := nn.relu(x))}
        for stage, (depth, kind) in enumerate(
            zip(self.depths, self.kinds[1:], strict=True), start=1
        ):
            for block in range(1, depth + 1):
                stride = (2, 2, 2) if stage > 1 and block == 1 else (1, 1, 1)
                features, name = self._scaled(32 * 2**stage), f"stage{stage}_block{block}"
                x = BasicBlock(features, kind, stride, self.midplanes, name=name, **common)(
                    x, train=train
                )
            endpoints[f"stage{stage}"] = x
        return endpoints | {"features": x}

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))
