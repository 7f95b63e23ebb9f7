"""A convolution and its normalisation, the brick of nearly every family."""

import flax.linen as nn
import jax

from vidjax.ops.conv import Conv
from vidjax.ops.norm import BatchNorm
from vidjax.ops.padding import Padding


class ConvNorm(nn.Module):
    """`conv`, then `norm`: [N, T, H, W, C] -> [N, T', H', W', features]. No activation.

    `padding` "" is half the kernel on each side, which keeps the size at stride 1 for odd kernels.
    """

    features: int
    kernel_size: tuple[int, int, int] = (1, 1, 1)
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: Padding = ""
    groups: int = 1
    epsilon: float = 1e-5
    momentum: float = 0.9
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        padding = self.padding or tuple(k // 2 for k in self.kernel_size)
        common = {"groups": self.groups, "dtype": self.dtype, "lowering": self.lowering}
        x = Conv(self.features, self.kernel_size, self.stride, padding, name="conv", **common)(x)
        norm = BatchNorm(
            epsilon=self.epsilon, momentum=self.momentum, dtype=self.dtype, name="norm"
        )
        return norm(x, train=train)
