"""Layers of networks without shortcuts: a convolution with bias and its activation, and a wide layer at the end."""

import flax.linen as nn
import jax

from vidjax.ops.conv import Conv
from vidjax.ops.norm import BatchNorm
from vidjax.ops.padding import Padding

# name: function; the leaky one lets a hundredth through, as in PyTorch
ACTIVATIONS = {"relu": nn.relu, "leaky_relu": nn.leaky_relu}


class ConvAct(nn.Module):
    """`conv` with bias, `norm` where asked for, activation: [N, T, H, W, C] -> [N, T', H', W', features].

    `padding` "" is half the kernel on each side, which keeps the size at stride 1 for odd kernels.
    """

    features: int
    kernel_size: tuple[int, int, int] = (3, 3, 3)
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: Padding = ""
    use_norm: bool = False
    activation: str = "relu"
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        padding = self.padding or tuple(k // 2 for k in self.kernel_size)
        common = {"use_bias": True, "dtype": self.dtype, "lowering": self.lowering}
        x = Conv(self.features, self.kernel_size, self.stride, padding, name="conv", **common)(x)
        if self.use_norm:
            x = BatchNorm(dtype=self.dtype, name="norm")(x, train=train)
        return ACTIVATIONS[self.activation](x)


class WideLayer(nn.Module):
    """`dense`, activation, `norm` where asked for, dropout: [..., C] -> [..., features]."""

    features: int
    use_norm: bool = False
    activation: str = "relu"
    dropout: float = 0.5
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        x = nn.Dense(self.features, dtype=self.dtype, kernel_init=init, name="dense")(x)
        x = ACTIVATIONS[self.activation](x)
        if self.use_norm:
            x = BatchNorm(dtype=self.dtype, name="norm")(x, train=train)
        return nn.Dropout(self.dropout, deterministic=not train)(x)


def flatten(x: jax.Array) -> jax.Array:
    """[N, T, H, W, C] -> [N, 1, 1, 1, T*H*W*C]: a dense layer then sees every position apart."""
    return x.reshape(x.shape[0], 1, 1, 1, -1)
