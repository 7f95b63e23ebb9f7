"""A small classifier of three residual 3D blocks: enough to see a 3D CNN learn, small enough to read in one sitting.

Stem 3x7x7 with 32 channels, then blocks of two 3x3x3 convolutions with 64, 128 and 256 channels. No paper; the shape of
the first networks of most courses on video.
"""

import flax.linen as nn
import jax

from vidjax.ops.conv import Conv
from vidjax.ops.norm import BatchNorm

# name: fields of Model
VARIANTS = {
    "tiny3d": {
        "channels": (32, 64, 128, 256),
        "strides": ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 2, 2)),
    }
}


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions and a 1x1x1 shortcut: [N, T, H, W, C] -> [N, T/st, H/sh, W/sw, features]."""

    features: int
    stride: tuple[int, int, int]
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        y = Conv(self.features, (3, 3, 3), self.stride, (1, 1, 1), name="conv1", **common)(x)
        y = nn.relu(BatchNorm(dtype=self.dtype, name="norm1")(y, train=train))
        y = Conv(self.features, (3, 3, 3), padding=(1, 1, 1), name="conv2", **common)(y)
        y = BatchNorm(dtype=self.dtype, name="norm2")(y, train=train)
        x = Conv(self.features, (1, 1, 1), self.stride, name="shortcut", **common)(x)
        x = BatchNorm(dtype=self.dtype, name="shortcut_norm")(x, train=train)
        return nn.relu(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage3`, and `features`, the last of them."""

    channels: tuple[int, ...] = (32, 64, 128, 256)
    strides: tuple[tuple[int, int, int], ...] = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 2, 2))
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        common = {"dtype": self.dtype, "lowering": self.lowering}
        stem, *stages = [max(1, round(c * self.width)) for c in self.channels]
        x = Conv(stem, (3, 7, 7), self.strides[0], (1, 3, 3), name="stem", **common)(video)
        x = nn.relu(BatchNorm(dtype=self.dtype, name="stem_norm")(x, train=train))
        endpoints = {"stem": x}
        for i, (features, stride) in enumerate(zip(stages, self.strides[1:], strict=True), start=1):
            x = ResidualBlock(features, stride, name=f"stage{i}", **common)(x, train=train)
            endpoints[f"stage{i}"] = x
        return endpoints | {"features": x}
