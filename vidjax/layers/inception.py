"""Inception-v1 over clips: the unit, the block of four branches, and the trunk of I3D and S3D.

Szegedy et al., Going Deeper with Convolutions, CVPR 2015, table 1, with kernels inflated over time
or factored in space and time. The 5x5 branch of that table has kernels of 3 here, as in every
published network over clips.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers import non_local, temporal
from vidjax.layers.conv_norm import ConvNorm, Size
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.style import Style
from vidjax.layers.temporal import Temporal
from vidjax.layers.widths import scaled
from vidjax.ops.padding import Padding
from vidjax.ops.pool import avg_pool, max_pool

UNCHANGED = Temporal()
Channels = tuple[int, int, int, int, int, int]

STEM, REDUCED, EXPANDED = 64, 64, 192
# stage: its blocks; a block: channels of direct, reduce1, conv1, reduce2, conv2 and pooled
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
# stage: window and stride of the max pooling ahead of it
POOLS: dict[int, tuple[Size, Size]] = {
    1: ((1, 3, 3), (1, 2, 2)),
    2: ((1, 3, 3), (1, 2, 2)),
    3: ((3, 3, 3), (2, 2, 2)),
    4: ((2, 2, 2), (2, 2, 2)),
}
AVERAGE_WINDOW = (2, 7, 7)  # of the average pooling behind the last block


class Unit(nn.Module):
    """Cubic convolution, norm, activation: [N, T, H, W, C] -> [N, T/s, H/s, W/s, features].

    `time` may choose other frames for the kernel, the stride and the dilation than those of a cube.
    With `separable` a kernel larger than one becomes two of these: one in space, then one in time.
    """

    features: int
    size: int = 1
    stride: int = 1
    separable: bool = False
    time: Temporal = Temporal()
    padding: Padding = "half"
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        k, s = self.size, self.stride
        kt, _, _ = self.time.kernel((k, k, k))
        st, _, _ = self.time.step((s, s, s))
        if self.separable and k > 1:
            x = self._conv_norm((1, k, k), (1, s, s), name="spatial")(x, train=train)
            x = self.style.activate(x)
            x = self._conv_norm((kt, 1, 1), (st, 1, 1), name="temporal")(x, train=train)
            return self.style.activate(x)
        cubic = self._conv_norm((kt, k, k), (st, s, s))
        nn.share_scope(self, cubic)  # so that its `conv` and `norm` stand directly below this unit
        return self.style.activate(cubic(x, train=train))

    def _conv_norm(self, kernel_size: Size, stride: Size, *, name: str | None = None) -> ConvNorm:
        return ConvNorm(
            self.features,
            kernel_size,
            stride,
            padding=self.padding,
            dilation=self.time.dilation,
            style=self.style,
            name=name,
        )


class Block(nn.Module):
    """Four branches whose outputs are concatenated: [N, T, H, W, C] -> [N, T, H, W, C'].

    C' is the sum of the channels that the branches end in: direct, conv1, conv2 and pooled.
    """

    channels: Channels
    separable: bool = False
    time: Temporal = Temporal()  # of its convolutions; its pooling covers three frames
    padding: Padding = "half"
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        direct, reduce1, conv1, reduce2, conv2, pooled = self.channels
        a = self._unit(direct, name="direct")(x, train=train)
        b = self._unit(reduce1, name="reduce1")(x, train=train)
        b = self._unit(conv1, 3, name="conv1")(b, train=train)
        c = self._unit(reduce2, name="reduce2")(x, train=train)
        c = self._unit(conv2, 3, name="conv2")(c, train=train)
        d = pool(x, (3, 3, 3), (1, 1, 1), padding=self.padding)
        d = self._unit(pooled, name="pooled")(d, train=train)
        return jnp.concatenate([a, b, c, d], axis=-1)  # the order of published weights

    def _unit(self, features: int, size: int = 1, *, name: str) -> Unit:
        return Unit(
            features,
            size,
            separable=self.separable,
            time=self.time._replace(stride=0),  # a pooling ahead of the block has it
            padding=self.padding,
            style=self.style,
            name=name,
        )


class Inception(nn.Module):
    """[N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    `features` are means under windows of 2x7x7 positions of the last stage. `padding` is that of
    convolutions and pools: "SAME" as in TensorFlow, or "half", which gives a pooling window of two
    nothing. A window that is larger than its input shrinks to it. The fields from
    `temporal_kernels` to `remat_blocks` are described in docs/knobs.md; temporal strides are those
    of the stem's convolution and of the poolings ahead of the stages. Use it with
    `nn.share_scope`, so that parameter paths do not name this module.
    """

    separable: bool  # S3D's factored kernels, or I3D's cubes
    padding: Padding
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        time = temporal.of_stage(self, 0)
        x = self._unit(STEM, 7, 2, time=time, name="stem")(video, train=train)
        endpoints = {"stem": x}
        # Stage 1 is two units without branches, so the table of blocks starts at stage 2.
        time = temporal.of_stage(self, 1)
        x = pool(x, *time.pooling(*POOLS[1]), padding=self.padding)
        x = self._unit(REDUCED, name="stage1_reduce")(x, train=train)
        conv = self._unit(EXPANDED, 3, time=time._replace(stride=0), name="stage1_conv")
        x = run_block(conv, x, train=train, remat=self.remat_blocks)
        x = self._non_local(x, 1, train=train)
        endpoints["stage1"] = x
        for stage, blocks in BLOCKS.items():
            time = temporal.of_stage(self, stage)
            x = pool(x, *time.pooling(*POOLS[stage]), padding=self.padding)
            for number, channels in enumerate(blocks, start=1):
                block = Block(
                    tuple(scaled(count, self.width) for count in channels),
                    separable=self.separable,
                    time=time,
                    padding=self.padding,
                    style=self.style,
                    name=f"stage{stage}_block{number}",
                )
                x = run_block(block, x, train=train, remat=self.remat_blocks)
            x = self._non_local(x, stage, train=train)
            endpoints[f"stage{stage}"] = x
        averaged = avg_pool(x, AVERAGE_WINDOW, (1, 1, 1))  # [N, T - 1, H - 6, W - 6, C]
        endpoints["features"] = averaged
        return endpoints

    def _non_local(self, x: jax.Array, stage: int, *, train: bool) -> jax.Array:
        if stage not in self.non_local:
            return x
        return NonLocal(style=self.style, name=f"stage{stage}_non_local")(x, train=train)

    def _unit(
        self,
        channels: int,
        size: int = 1,
        stride: int = 1,
        *,
        time: Temporal = UNCHANGED,
        name: str,
    ) -> Unit:
        return Unit(
            scaled(channels, self.width),
            size,
            stride,
            separable=self.separable,
            time=time,
            padding=self.padding,
            style=self.style,
            name=name,
        )


def check_knobs(model: nn.Module) -> None:
    """Refuses values of the fields that a model hands to this trunk: a UserError."""
    temporal.check(model, (True,) * 5)
    non_local.check(model.non_local, len(POOLS))


def pool(x: jax.Array, window: Size, stride: Size, *, padding: Padding) -> jax.Array:
    """Max pooling with the padding of the trunk: [N, T, H, W, C] -> [N, T', H', W', C]."""
    if padding == "half":
        # Rounded down: the windows of two start at the first position, as in PyTorch's network.
        padding = tuple((k - 1) // 2 for k in window)
    return max_pool(x, window, stride, padding)
