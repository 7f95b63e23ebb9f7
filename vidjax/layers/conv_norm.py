"""A convolution in a network's style, alone, ahead of its normalisation, and behind it."""

import flax.linen as nn
import jax

from vidjax.layers.norm import Norm
from vidjax.layers.style import Style
from vidjax.ops.conv import Conv
from vidjax.ops.padding import Padding

Size = tuple[int, int, int]  # time, height, width


def resolve_padding(padding: Padding, kernel_size: Size, dilation: int = 1) -> Padding:
    """Half the kernel on each side for "half", which keeps the size at stride 1 for odd kernels.

    In time it is half of the frames that the kernel spans with its dilation.
    """
    if padding == "half":
        frames, height, width = kernel_size
        spanned = (frames - 1) * dilation + 1
        return spanned // 2, height // 2, width // 2
    return padding


def styled_conv(
    features: int,
    kernel_size: Size,
    *,
    style: Style,
    name: str,
    stride: Size = (1, 1, 1),
    padding: Padding = "half",
    dilation: int = 1,
    groups: int = 1,
    use_bias: bool = False,
) -> Conv:
    """A convolution in the type and lowering of a style.

    It maps [N, T, H, W, C] to [N, T', H', W', features].

    Args:
        features: output channels.
        kernel_size: extent in time, height and width.
        style: of which `dtype`, `lowering` and `causal` are read.
        name: of the submodule, in the compact method that calls this.
        stride: step in time, height and width.
        padding: "half", or what `ops.conv` takes.
        dilation: distance in frames of the taps of a kernel that covers several.
        groups: groups of channels that do not see each other.
        use_bias: adds a bias per channel.
    """
    return Conv(
        features,
        kernel_size,
        stride=stride,
        padding=resolve_padding(padding, kernel_size, dilation),
        # One tap has no neighbour, and is lowered as what it is.
        dilation=(dilation if kernel_size[0] > 1 else 1, 1, 1),
        groups=groups,
        use_bias=use_bias,
        causal=style.causal,
        dtype=style.dtype,
        lowering=style.lowering,
        name=name,
    )


class ConvNorm(nn.Module):
    """`conv`, then `norm`: [N, T, H, W, C] -> [N, T', H', W', features]. No activation."""

    features: int
    kernel_size: Size = (1, 1, 1)
    stride: Size = (1, 1, 1)
    padding: Padding = "half"
    dilation: int = 1  # in time
    groups: int = 1
    zero_scale: bool = False  # starts the scale of the normalisation at zero
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        conv = styled_conv(
            self.features,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            style=self.style,
            name="conv",
        )
        norm = Norm(style=self.style, zero_scale=self.zero_scale, name="norm")
        return norm(conv(x), train=train)


class NormConv(nn.Module):
    """`norm`, activation, then `conv`: [N, T, H, W, C] -> [N, T', H', W', features].

    The order of pre-activation networks; paths are those of ConvNorm. Nothing follows the
    convolution, so that its output can be added or concatenated as it is.
    """

    features: int
    kernel_size: Size = (1, 1, 1)
    stride: Size = (1, 1, 1)
    dilation: int = 1  # in time
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = Norm(style=self.style, name="norm")(x, train=train)
        x = self.style.activate(x)
        conv = styled_conv(
            self.features,
            self.kernel_size,
            stride=self.stride,
            dilation=self.dilation,
            style=self.style,
            name="conv",
        )
        return conv(x)
