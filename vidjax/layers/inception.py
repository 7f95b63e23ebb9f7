"""Inception-v1 over clips: the unit, the block of four branches, and the trunk that I3D and S3D share.

Szegedy et al., Going Deeper with Convolutions, CVPR 2015, table 1, with the kernels inflated or factored in time.
The 5x5 branch of that table has kernels of 3 here, as in every published network over clips.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers.conv_norm import ConvNorm
from vidjax.ops.padding import Padding
from vidjax.ops.pool import avg_pool, max_pool

Size = tuple[int, int, int]
Channels = tuple[int, int, int, int, int, int]

STEM, REDUCED, EXPANDED = 64, 64, 192
# stage: the blocks; block: channels of `direct`, `reduce1`, `conv1`, `reduce2`, `conv2`, `pooled`
BLOCKS: dict[int, tuple[Channels, ...]] = {
    2: ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    3: (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    4: ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
}
# stage: window and stride of the maximum before it
POOLS: dict[int, tuple[Size, Size]] = {
    1: ((1, 3, 3), (1, 2, 2)),
    2: ((1, 3, 3), (1, 2, 2)),
    3: ((3, 3, 3), (2, 2, 2)),
    4: ((2, 2, 2), (2, 2, 2)),
}
AVERAGED = (2, 7, 7)  # window of the average behind the last block


class Unit(nn.Module):
    """Convolution, normalisation, ReLU: [N, T, H, W, C] -> [N, T/s, H/s, W/s, features]; the kernel is a cube.

    With `separable` a kernel larger than one is two units, one in space and then one in time.
    """

    features: int
    size: int = 1
    stride: int = 1
    separable: bool = False
    padding: Padding = ""
    epsilon: float = 1e-3
    momentum: float = 0.9
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        k, s = self.size, self.stride
        common = {"padding": self.padding, "epsilon": self.epsilon, "momentum": self.momentum}
        common |= {"dtype": self.dtype, "lowering": self.lowering}
        if self.separable and k > 1:
            spatial = ConvNorm(self.features, (1, k, k), (1, s, s), name="spatial", **common)
            temporal = ConvNorm(self.features, (k, 1, 1), (s, 1, 1), name="temporal", **common)
            return nn.relu(temporal(nn.relu(spatial(x, train=train)), train=train))
        whole = ConvNorm(self.features, (k, k, k), (s, s, s), **common)
        nn.share_scope(self, whole)  # `conv` and `norm` are ours
        return nn.relu(whole(x, train=train))


class Block(nn.Module):
    """Four branches side by side: [N, T, H, W, C] -> [N, T, H, W, the channels that the branches end in].

    `unit` makes a `Unit` from features, size and name.
    """

    channels: Channels
    unit: Callable[..., nn.Module]
    padding: Padding = ""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        direct, reduce1, conv1, reduce2, conv2, pooled = self.channels
        a = self.unit(direct, name="direct")(x, train=train)
        b = self.unit(reduce1, name="reduce1")(x, train=train)
        b = self.unit(conv1, 3, name="conv1")(b, train=train)
        c = self.unit(reduce2, name="reduce2")(x, train=train)
        c = self.unit(conv2, 3, name="conv2")(c, train=train)
        d = self.unit(pooled, name="pooled")(
            _max_pool(x, (3, 3, 3), (1, 1, 1), self.padding), train=train
        )
        return jnp.concatenate([a, b, c, d], axis=-1)


def trunk(
    video: jax.Array, unit: Callable[..., nn.Module], *, padding: Padding, width: float, train: bool
) -> dict[str, jax.Array]:
    """Endpoints `stem`, `stage1` to `stage4`, and `features`, the mean of windows of 2x7x7 over the last.

    To be called in a module's compact method, whose submodules the units become. `padding` is that of the pools: "SAME"
    as in TensorFlow, or "", half of a window of three and nothing about one of two. A window of the last average, or of
    two, that is larger than what there is shrinks to it.
    """

    def scaled(channels):
        return max(1, round(channels * width))

    x = unit(scaled(STEM), 7, 2, name="stem")(video, train=train)
    endpoints = {"stem": x}
    x = _max_pool(x, *POOLS[1], padding)
    x = unit(scaled(REDUCED), name="stage1_reduce")(x, train=train)
    x = unit(scaled(EXPANDED), 3, name="stage1_conv")(x, train=train)
    endpoints["stage1"] = x
    for stage, blocks in BLOCKS.items():
        x = _max_pool(x, *POOLS[stage], padding)
        for number, channels in enumerate(blocks, start=1):
            block = Block(
                tuple(map(scaled, channels)), unit, padding, name=f"stage{stage}_block{number}"
            )
            x = block(x, train=train)
        endpoints[f"stage{stage}"] = x
    # in float32: a sum of 98 values would lose digits in half precision
    averaged = avg_pool(x.astype(jnp.float32), AVERAGED, (1, 1, 1))  # [N, T - 1, H - 6, W - 6, C]
    return endpoints | {"features": averaged.astype(x.dtype)}


def _max_pool(x: jax.Array, window: Size, stride: Size, padding: Padding) -> jax.Array:
    return max_pool(x, window, stride, padding or tuple((k - 1) // 2 for k in window))
