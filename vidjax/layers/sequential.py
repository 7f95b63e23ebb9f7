"""Layers of networks without shortcuts: a convolution with activation, and a dense layer."""

import flax.linen as nn
import jax

from vidjax.layers.conv_norm import Size, styled_conv
from vidjax.layers.norm import Norm
from vidjax.layers.style import Style
from vidjax.ops.padding import Padding


class ConvAct(nn.Module):
    """`conv` with bias, `norm` if asked for, activation: [N, T, H, W, C] -> [N, T', H', W', C']."""

    features: int
    kernel_size: Size = (3, 3, 3)
    stride: Size = (1, 1, 1)
    padding: Padding = "half"
    dilation: int = 1  # in time
    use_norm: bool = False
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        conv = styled_conv(
            self.features,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            use_bias=True,
            style=self.style,
            name="conv",
        )
        x = conv(x)
        if self.use_norm:
            x = Norm(style=self.style, name="norm")(x, train=train)
        return self.style.activate(x)


class DenseAct(nn.Module):
    """`dense`, activation, optional `norm`, dropout, in this order: [..., C] -> [..., features]."""

    features: int
    use_norm: bool = False
    dropout: float = 0.5  # in training only
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        # He et al. (2015): a ReLU follows, which halves the variance.
        init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        dtype = self.style.dtype
        x = nn.Dense(self.features, dtype=dtype, kernel_init=init, name="dense")(x)
        x = self.style.activate(x)
        if self.use_norm:  # behind the activation here, unlike in ConvAct
            x = Norm(style=self.style, name="norm")(x, train=train)
        return nn.Dropout(self.dropout, deterministic=not train)(x)


def flatten(x: jax.Array) -> jax.Array:
    """[N, T, H, W, C] -> [N, 1, 1, 1, T*H*W*C], for a dense layer with a row per position."""
    return x.reshape(x.shape[0], 1, 1, 1, -1)
