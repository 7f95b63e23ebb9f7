"""Pseudo-3D residual networks: a 3x3x3 kernel is a 1x3x3 and a 3x1x1, put together in three ways that take turns.

Qiu et al., Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks, ICCV 2017, figures 2 and 3. In a
block of kind A time follows space; in B they stand side by side and add; in C time follows space and adds to it. The
last stage is a 2D network of every frame. Time halves behind the stem and behind each of the first three stages, so
that 16 frames become one; a shorter clip arrives at one frame earlier, and stays there.
The 17-layer variant, a block of each kind and a 2D one, is for small machines; it is not in the paper.
Departs from the paper as the public PyTorch weights do: the stride is at a block's first convolution, and `features` is
the last stage as it is, whose mean over a clip of 160x160 is the paper's 5x5 average.
"""

import flax.linen as nn
import jax

from vidjax.layers.conv_norm import ConvNorm
from vidjax.ops.pool import max_pool

# name: fields of Model
VARIANTS = {
    "p3d_17": {"depths": (1, 1, 1, 1)},
    "p3d_63": {"depths": (3, 4, 6, 3)},
    "p3d_131": {"depths": (3, 4, 23, 3)},
    "p3d_199": {"depths": (3, 8, 36, 3)},
}

KINDS = ("A", "B", "C", "2d")
CHANNELS = (64, 128, 256, 512)  # inside the blocks of a stage; four times as many leave it
FRAMES_STAGE = 4  # the stage without kernels over time


class Block(nn.Module):
    """A bottleneck of one of KINDS and a shortcut: [N, T, H, W, C] -> [N, T, H/sh, W/sw, features]."""

    features: int
    inner: int
    kind: str
    stride: tuple[int, int, int] = (1, 1, 1)
    epsilon: float = 1e-5
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if self.kind not in KINDS:
            raise ValueError(f"a block is of the kind {self.kind!r}; there are {', '.join(KINDS)}")
        common = {"epsilon": self.epsilon, "dtype": self.dtype, "lowering": self.lowering}
        y = nn.relu(
            ConvNorm(self.inner, stride=self.stride, name="conv1", **common)(x, train=train)
        )
        space = nn.relu(ConvNorm(self.inner, (1, 3, 3), name="conv2", **common)(y, train=train))
        if self.kind == "2d":
            y = space
        else:
            seen = y if self.kind == "B" else space
            time = nn.relu(
                ConvNorm(self.inner, (3, 1, 1), name="temporal", **common)(seen, train=train)
            )
            y = time if self.kind == "A" else space + time
        y = ConvNorm(self.features, name="conv3", **common)(y, train=train)
        if self.stride != (1, 1, 1) or x.shape[-1] != self.features:
            x = ConvNorm(self.features, (1, 1, 1), self.stride, name="shortcut", **common)(
                x, train=train
            )
        return nn.relu(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`, which is the last of them.

    The stages are given as they are before time halves. `kinds` take turns, counted through the stages; `width` scales
    all channels.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    kinds: tuple[str, ...] = ("A", "B", "C")
    epsilon: float = 1e-5
    width: float = 1.0
    dtype: str = "float32"
    lowering: str = "auto"

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        common = {"epsilon": self.epsilon, "dtype": self.dtype, "lowering": self.lowering}
        x = ConvNorm(self._scaled(64), (1, 7, 7), (1, 2, 2), name="stem", **common)(
            video, train=train
        )
        endpoints = {"stem": (x := nn.relu(x))}
        x = max_pool(x, (min(2, x.shape[1]), 3, 3), (2, 2, 2), (0, 1, 1))
        count = 0  # blocks so far
        for stage, depth in enumerate(self.depths, start=1):
            inner = CHANNELS[stage - 1]
            for block in range(1, depth + 1):
                kind = "2d" if stage == FRAMES_STAGE else self.kinds[count % len(self.kinds)]
                stride = (1, 2, 2) if stage > 1 and block == 1 else (1, 1, 1)
                features, name = self._scaled(4 * inner), f"stage{stage}_block{block}"
                x = Block(features, self._scaled(inner), kind, stride, name=name, **common)(
                    x, train=train
                )
                count += 1
            endpoints[f"stage{stage}"] = x
            if stage < FRAMES_STAGE and x.shape[1] > 1:
                x = max_pool(x, (2, 1, 1))
        return endpoints | {"features": x}

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))
