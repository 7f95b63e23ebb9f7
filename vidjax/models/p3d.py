"""Pseudo-3D residual networks: a 3x3x3 kernel becomes a 1x3x3 and a 3x1x1, in three arrangements.

Qiu et al., Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks, ICCV 2017,
figures 2 and 3. In a block of kind A the temporal convolution follows the spatial one; in B both
read the same input and are added; in C the temporal one follows the spatial one and is added to it.
The last stage is a 2D network on every frame. Time halves behind the stem and behind each of the
first three stages, so that 16 frames become one; a shorter clip is down to one frame earlier, and
stays there.
The 17-layer variant, with one block of each kind and a 2D one, is for small machines; it is not in
the paper.
Departs from the paper as the public PyTorch weights do: a block strides in its first convolution,
and `features` is the last stage as it is, whose mean over a clip of 160x160 is the paper's 5x5
average.
"""

import itertools

import flax.linen as nn
import jax

from vidjax.layers import branch, checks, non_local, temporal
from vidjax.layers.branch import end_of_branch
from vidjax.layers.conv_norm import ConvNorm, Size
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.residual import shortcut
from vidjax.layers.style import Style, refuse_causal
from vidjax.layers.temporal import Temporal
from vidjax.layers.widths import scaled
from vidjax.ops.pool import max_pool

# name: fields of Model
VARIANTS = {
    "p3d_17": {"depths": (1, 1, 1, 1)},
    "p3d_63": {"depths": (3, 4, 6, 3)},
    "p3d_131": {"depths": (3, 4, 23, 3)},
    "p3d_199": {"depths": (3, 8, 36, 3)},
}
MAP = "stage4"  # the last endpoint with time and space

KINDS = ("A", "B", "C", "2d")
CHANNELS = (64, 128, 256, 512)  # inside the blocks of a stage; four times as many leave it
STAGE_2D = 4  # the stage without temporal kernels


class Block(nn.Module):
    """A bottleneck of a kind and a shortcut: [N, T, H, W, C] -> [N, T, H/sh, W/sw, features]."""

    features: int
    inner: int
    kind: str
    stride: Size = (1, 1, 1)
    time: Temporal = Temporal()  # without its stride: no block strides in time
    squeeze_excite: float = 0.0
    drop_rate: float = 0.0
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        style = self.style
        # The first convolution strides, although it is 1x1x1: so do the public weights.
        y = ConvNorm(self.inner, stride=self.stride, style=style, name="conv1")(x, train=train)
        y = style.activate(y)
        space = ConvNorm(self.inner, (1, 3, 3), style=style, name="conv2")(y, train=train)
        space = style.activate(space)
        if self.kind == "2d":
            y = space
        else:
            conv = ConvNorm(
                self.inner,
                self.time.kernel((3, 1, 1)),
                dilation=self.time.dilation,
                style=style,
                name="temporal",
            )
            time = conv(y if self.kind == "B" else space, train=train)
            time = style.activate(time)
            y = time if self.kind == "A" else space + time
        last = ConvNorm(self.features, zero_scale=style.zero_init_last, style=style, name="conv3")
        y = end_of_branch(
            last(y, train=train),
            squeeze_excite=self.squeeze_excite,
            drop_rate=self.drop_rate,
            style=style,
            train=train,
        )
        x = shortcut(x, self.features, stride=self.stride, style=style, train=train)
        return style.activate(x + y)


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] -> endpoints `stem`, `stage1` to `stage4`, and `features`.

    Endpoints are taken before time halves; `features` is the last stage. `kinds` is a cycle over
    the blocks of the first three stages. `width` scales all channels. The fields from
    `temporal_kernels` to `remat_blocks` are described in docs/knobs.md; a temporal stride is that
    of the pooling behind the stem or the stage.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    kinds: tuple[str, ...] = ("A", "B", "C")
    temporal_kernels: tuple[int, ...] = ()
    temporal_strides: tuple[int, ...] = ()
    temporal_dilations: tuple[int, ...] = ()
    stochastic_depth: float = 0.0
    squeeze_excite: float = 0.0
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.above_zero("width", self.width)
        checks.depths("depths", self.depths, len(CHANNELS))
        checks.not_empty("kinds", self.kinds)
        for kind in self.kinds:
            checks.one_of("kinds", kind, KINDS)
        has_kernel = [False]  # the stem is 2D
        for kinds in self._kinds_by_stage():
            has_kernel.append(any(kind != "2d" for kind in kinds))
        temporal.check(self, has_kernel, (True,) * STAGE_2D + (False,))
        branch.check(self.stochastic_depth, self.squeeze_excite)
        non_local.check(self.non_local, len(CHANNELS))
        refuse_causal(self.style, "P3D", "it pools over time")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        style = self.style
        stem = ConvNorm(scaled(64, self.width), (1, 7, 7), (1, 2, 2), style=style, name="stem")
        x = style.activate(stem(video, train=train))
        endpoints = {"stem": x}
        window, stride = temporal.of_stage(self, 0).pooling((2, 3, 3), (2, 2, 2))
        # A window of two frames does not fit a clip of one.
        x = max_pool(x, (min(window[0], x.shape[1]), 3, 3), stride, (0, 1, 1))
        rates = branch.drop_rates(self.stochastic_depth, self.depths)
        for stage, kinds in enumerate(self._kinds_by_stage(), start=1):
            time = temporal.of_stage(self, stage)
            for number, kind in enumerate(kinds, start=1):
                block = Block(
                    scaled(4 * CHANNELS[stage - 1], self.width),
                    scaled(CHANNELS[stage - 1], self.width),
                    kind=kind,
                    stride=(1, 2, 2) if stage > 1 and number == 1 else (1, 1, 1),
                    time=time,
                    squeeze_excite=self.squeeze_excite,
                    drop_rate=rates[stage - 1][number - 1],
                    style=style,
                    name=f"stage{stage}_block{number}",
                )
                x = run_block(block, x, train=train, remat=self.remat_blocks)
            if stage in self.non_local:
                x = NonLocal(style=style, name=f"stage{stage}_non_local")(x, train=train)
            endpoints[f"stage{stage}"] = x
            if stage < STAGE_2D and x.shape[1] > 1:
                x = max_pool(x, time.step((2, 1, 1)))
        endpoints["features"] = x
        return endpoints

    def _kinds_by_stage(self) -> list[list[str]]:
        """The kind of each block; the cycle goes on from stage to stage, up to the 2D one."""
        cycle = itertools.cycle(self.kinds)
        by_stage = []
        for stage, depth in enumerate(self.depths, start=1):
            if stage == STAGE_2D:
                by_stage.append(["2d"] * depth)
            else:
                by_stage.append(list(itertools.islice(cycle, depth)))
        return by_stage
