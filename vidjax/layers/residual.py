"""Residual blocks over clips: the basic block of two convolutions and the bottleneck of three.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016, figure 5. A bottleneck strides
in its middle convolution, as in torchvision. With kernels of one frame these are 2D blocks on every
frame, and their parameters have the same names as those of a 3D block: 2D weights inflate by path.
"""

import flax.linen as nn
import jax

from vidjax.layers.branch import end_of_branch
from vidjax.layers.conv_norm import ConvNorm, Size
from vidjax.layers.style import Style


def branch_and_shortcut(
    x: jax.Array, mix: nn.Module | None, *, mix_shortcut: bool
) -> tuple[jax.Array, jax.Array]:
    """(input of the residual branch, input of the shortcut) of a block that may mix frames.

    To be called in the compact method of the block.
    """
    if mix is None:
        return x, x
    # All blocks are given one module. Each has a copy of its own, because in a stream it has state.
    mixed = mix.copy(name="mixed")(x)
    if mix_shortcut:
        return mixed, mixed
    return mixed, x


def shortcut(x: jax.Array, features: int, *, stride: Size, style: Style, train: bool) -> jax.Array:
    """The input itself where it has the output's shape, else a 1x1x1 convolution, `shortcut`.

    To be called in the compact method of a block, whose submodule the convolution becomes.
    """
    if stride == (1, 1, 1) and x.shape[-1] == features:
        return x
    return ConvNorm(features, (1, 1, 1), stride, style=style, name="shortcut")(x, train=train)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features].

    `mix` moves information along time ahead of the first convolution (the temporal shift): in the
    residual branch alone, or with `mix_shortcut` in the shortcut, too. `dilation` is that of
    temporal kernels; `layers.branch` says what `squeeze_excite` and `drop_rate` are.
    """

    features: int
    kernels: tuple[Size, Size] = ((3, 3, 3), (3, 3, 3))
    stride: Size = (1, 1, 1)
    dilation: int = 1
    mix: nn.Module | None = None
    mix_shortcut: bool = False
    squeeze_excite: float = 0.0
    drop_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        first, second = self.kernels
        y, x = branch_and_shortcut(x, self.mix, mix_shortcut=self.mix_shortcut)
        strided = ConvNorm(
            self.features, first, self.stride, dilation=self.dilation, style=style, name="conv1"
        )
        y = style.activate(strided(y, train=train))
        last = ConvNorm(
            self.features,
            second,
            dilation=self.dilation,
            zero_scale=style.zero_init_last,
            style=style,
            name="conv2",
        )
        y = end_of_branch(
            last(y, train=train),
            squeeze_excite=self.squeeze_excite,
            drop_rate=self.drop_rate,
            style=style,
            train=train,
        )
        x = shortcut(x, self.features, stride=self.stride, style=style, train=train)
        return style.activate(x + y)  # after the sum, as in the original paper


class Bottleneck(nn.Module):
    """Three convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features].

    The first narrows to `inner` channels, the second strides and has the groups, the third widens
    to `features`. With `lead`, a kernel size, one more convolution goes ahead of the second. It
    takes over the stride along those axes on which it covers more than one position.
    """

    features: int
    inner: int
    kernels: tuple[Size, Size, Size] = ((1, 1, 1), (1, 3, 3), (1, 1, 1))
    stride: Size = (1, 1, 1)
    dilation: int = 1  # as in BasicBlock
    groups: int = 1
    lead: Size | None = None
    lead_activation: bool = True
    mix: nn.Module | None = None  # this and what follows as in BasicBlock
    mix_shortcut: bool = False
    squeeze_excite: float = 0.0
    drop_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        first, second, third = self.kernels
        y, x = branch_and_shortcut(x, self.mix, mix_shortcut=self.mix_shortcut)
        narrow = ConvNorm(self.inner, first, dilation=self.dilation, style=style, name="conv1")
        y = style.activate(narrow(y, train=train))
        # What is left of the stride after the leading convolution is the second one's.
        stride = self.stride
        if self.lead is not None:
            lead_stride, stride = split_stride(self.stride, self.lead)
            lead = ConvNorm(
                self.inner,
                self.lead,
                lead_stride,
                dilation=self.dilation,
                style=style,
                name="lead",
            )
            y = lead(y, train=train)
            if self.lead_activation:
                y = style.activate(y)
        middle = ConvNorm(
            self.inner,
            second,
            stride,
            dilation=self.dilation,
            groups=self.groups,
            style=style,
            name="conv2",
        )
        y = style.activate(middle(y, train=train))
        last = ConvNorm(
            self.features, third, zero_scale=style.zero_init_last, style=style, name="conv3"
        )
        y = end_of_branch(
            last(y, train=train),
            squeeze_excite=self.squeeze_excite,
            drop_rate=self.drop_rate,
            style=style,
            train=train,
        )
        x = shortcut(x, self.features, stride=self.stride, style=style, train=train)
        return style.activate(x + y)


def split_stride(stride: Size, kernel_size: Size) -> tuple[Size, Size]:
    """(stride of a leading convolution of this kernel, what is left for the one behind it)."""
    lead = tuple(s if k > 1 else 1 for s, k in zip(stride, kernel_size, strict=True))
    rest = tuple(s // taken for s, taken in zip(stride, lead, strict=True))
    return lead, rest
