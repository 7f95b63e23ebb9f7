"""Residual units over clips: the basic block of two convolutions and the bottleneck of three.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016, figure 5; a bottleneck has its stride at the middle
convolution, as in torchvision and everything that came after it. Kernels of extent one in time make the 2D block of
every frame, and their parameters have the same names as those of any 3D block: 2D weights inflate by path.
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from vidjax.layers.conv_norm import ConvNorm

Size = tuple[int, int, int]


def fork(
    x: jax.Array, mix: Callable[[jax.Array], jax.Array] | None, mix_shortcut: bool
) -> tuple[jax.Array, jax.Array]:
    """What enters the branch and what enters the shortcut."""
    if mix is None:
        return x, x
    mixed = mix(x)
    return mixed, mixed if mix_shortcut else x


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features].

    `mix` moves information along time before the first convolution (the temporal shift): in the branch alone, or with
    `mix_shortcut` ahead of the fork, so that the shortcut has it too.
    """

    features: int
    kernels: tuple[Size, Size] = ((3, 3, 3), (3, 3, 3))
    stride: Size = (1, 1, 1)
    mix: nn.Module | None = None
    dtype: str = "float32"
    lowering: str = "auto"
    mix_shortcut: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        y, x = fork(x, self.mix, self.mix_shortcut)
        y = ConvNorm(self.features, self.kernels[0], self.stride, name="conv1", **common)(
            y, train=train
        )
        y = ConvNorm(self.features, self.kernels[1], name="conv2", **common)(
            nn.relu(y), train=train
        )
        if self.stride != (1, 1, 1) or x.shape[-1] != self.features:
            x = ConvNorm(self.features, (1, 1, 1), self.stride, name="shortcut", **common)(
                x, train=train
            )
        return nn.relu(x + y)


class Bottleneck(nn.Module):
    """Three convolutions and a shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features].

    The first narrows to `inner` channels, the second has the stride and the groups, the third widens to `features`.
    A convolution of the kernel `lead` may go before the second; it takes the stride of the axes that it reaches along.
    """

    features: int
    inner: int
    kernels: tuple[Size, Size, Size] = ((1, 1, 1), (1, 3, 3), (1, 1, 1))
    stride: Size = (1, 1, 1)
    groups: int = 1
    lead: Size | None = None
    lead_activation: bool = True
    mix: nn.Module | None = None
    dtype: str = "float32"
    lowering: str = "auto"
    mix_shortcut: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        first, second, third = self.kernels
        y, x = fork(x, self.mix, self.mix_shortcut)
        y = nn.relu(ConvNorm(self.inner, first, name="conv1", **common)(y, train=train))
        stride = self.stride
        if self.lead is not None:
            taken = tuple(s if k > 1 else 1 for s, k in zip(stride, self.lead, strict=True))
            y = ConvNorm(self.inner, self.lead, taken, name="lead", **common)(y, train=train)
            y = nn.relu(y) if self.lead_activation else y
            stride = tuple(s // t for s, t in zip(stride, taken, strict=True))
        y = ConvNorm(self.inner, second, stride, groups=self.groups, name="conv2", **common)(
            y, train=train
        )
        y = ConvNorm(self.features, third, name="conv3", **common)(nn.relu(y), train=train)
        if self.stride != (1, 1, 1) or x.shape[-1] != self.features:
            x = ConvNorm(self.features, (1, 1, 1), self.stride, name="shortcut", **common)(
                x, train=train
            )
        return nn.relu(x + y)
