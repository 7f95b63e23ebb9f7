"""GoogLeNet and BN-Inception for images; a clip goes through them frame by frame.

`googlenet` is Inception-v1 of Szegedy et al., Going Deeper with Convolutions, CVPR 2015, table 1,
as in torchvision: it has batch normalisation and no auxiliary classifiers, and the kernels of the
table's 5x5 column are 3x3. torchvision's weights take colours of mean 0.5 and standard deviation
0.5 (its `transform_input` makes them of ImageNet's). Its parameters have the paths of I3D's, so
that these weights inflate into I3D.

`bn_inception` is the network of Ioffe and Szegedy, Batch Normalization, ICML 2015, figure 5, which
temporal segment and relation networks build on, with the channels, the poolings and the epsilon of
their weights: the last blocks at a stride of 16 have 32 more channels than in the paper, and its
averages count the zeros of the padding. Its convolutions have no bias, which the normalisation
behind each would take away again.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers import checks, non_local
from vidjax.layers.conv_norm import ConvNorm
from vidjax.layers.frames import as_clip
from vidjax.layers.inception import BLOCKS, EXPANDED, REDUCED, STEM
from vidjax.layers.non_local import NonLocal
from vidjax.layers.remat import run_block
from vidjax.layers.style import Style, refuse_zero_init_last
from vidjax.layers.widths import scaled
from vidjax.ops.pool import avg_pool, max_pool

# name: fields of Model and of its style
VARIANTS = {
    "googlenet": {"kind": "googlenet", "epsilon": 1e-3},
    "bn_inception": {"kind": "bn_inception", "epsilon": 1e-5},
}
MAP = "stage4"  # the last endpoint with time and space


class Branches(NamedTuple):
    """Channels in the four branches of a block; one of 0 channels is left out.

    Where `pooled` is 0, the pooled input is a branch as it is.
    """

    direct: int
    reduce1: int
    conv1: int
    reduce2: int
    conv2: int
    pooled: int
    pool: str = "max"  # or "average"
    double: bool = False  # two convolutions in the second branch of 3x3 kernels
    stride: int = 1


def _averaged(*channels: int) -> Branches:
    return Branches(*channels, pool="average", double=True)


def _strided(reduce1: int, conv1: int, reduce2: int, conv2: int) -> Branches:
    return Branches(0, reduce1, conv1, reduce2, conv2, 0, double=True, stride=2)


# kind: stage: its blocks. Stage 1 has no branches; a block that strides begins a stage here.
STAGES: dict[str, dict[int, tuple[Branches, ...]]] = {
    "googlenet": {stage: tuple(Branches(*row) for row in rows) for stage, rows in BLOCKS.items()},
    "bn_inception": {
        2: (_averaged(64, 64, 64, 64, 96, 32), _averaged(64, 64, 96, 64, 96, 64)),
        3: (
            _strided(128, 160, 64, 96),
            _averaged(224, 64, 96, 96, 128, 128),
            _averaged(192, 96, 128, 96, 128, 128),
            _averaged(160, 128, 160, 128, 160, 128),
            _averaged(96, 128, 192, 160, 192, 128),
        ),
        4: (
            _strided(128, 192, 192, 256),
            _averaged(352, 192, 320, 160, 224, 128),
            Branches(352, 192, 320, 192, 224, 128, double=True),
        ),
    },
}
# kind: stage: window of the max pooling ahead of it, which halves space
POOLS = {"googlenet": {1: 3, 2: 3, 3: 3, 4: 2}, "bn_inception": {1: 3, 2: 3}}


class Unit(nn.Module):
    """Convolution in space, norm, activation: [N, T, H, W, C] -> [N, T, H/s, W/s, features]."""

    features: int
    size: int = 1
    stride: int = 1
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        kernel_size = (1, self.size, self.size)
        conv = ConvNorm(self.features, kernel_size, (1, self.stride, self.stride), style=self.style)
        nn.share_scope(self, conv)  # so that `conv` and `norm` stand directly below this unit
        return self.style.activate(conv(x, train=train))


class Block(nn.Module):
    """Branches whose outputs are concatenated: [N, T, H, W, C] -> [N, T, H/s, W/s, C']."""

    branches: Branches
    style: Style = Style()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        sizes, style = self.branches, self.style
        stride = sizes.stride
        # A branch of several 3x3 kernels strides in the last one.
        outputs = []
        if sizes.direct:
            outputs.append(Unit(sizes.direct, style=style, name="direct")(x, train=train))

        b = Unit(sizes.reduce1, style=style, name="reduce1")(x, train=train)
        b = Unit(sizes.conv1, 3, stride, style=style, name="conv1")(b, train=train)
        outputs.append(b)

        c = Unit(sizes.reduce2, style=style, name="reduce2")(x, train=train)
        if sizes.double:
            c = Unit(sizes.conv2, 3, style=style, name="conv2")(c, train=train)
            c = Unit(sizes.conv2, 3, stride, style=style, name="conv3")(c, train=train)
        else:
            c = Unit(sizes.conv2, 3, stride, style=style, name="conv2")(c, train=train)
        outputs.append(c)

        d = self._pool(x)
        if sizes.pooled:
            d = Unit(sizes.pooled, style=style, name="pooled")(d, train=train)
        outputs.append(d)
        return jnp.concatenate(outputs, axis=-1)  # the order of published weights

    def _pool(self, x: jax.Array) -> jax.Array:
        if self.branches.pool == "average":
            x = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))  # these zeros count
            return avg_pool(x, (1, 3, 3), (1, 1, 1))
        # At a stride of two, "SAME" is the published ceil mode for even sizes. For odd ones the
        # published pooling would give a position less than the convolutions beside it.
        stride = self.branches.stride
        return max_pool(x, (1, 3, 3), (1, stride, stride), "SAME")


class Model(nn.Module):
    """Backbone: [N, T, H, W, C] or images [N, H, W, C] -> `stem`, `stage1` to `stage4`, `features`.

    Endpoints are [N, T, H, W, C]; an image has T = 1. Space halves in the stem and ahead of, or at
    the start of, each stage. `features` is the last stage. `kind` is a key of STAGES. `width`
    scales all channels. docs/knobs.md describes `non_local` and `remat_blocks`.
    """

    kind: str = "googlenet"
    non_local: tuple[int, ...] = ()
    remat_blocks: bool = False
    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        checks.one_of("kind", self.kind, tuple(STAGES))
        checks.above_zero("width", self.width)
        non_local.check(self.non_local, 4)
        refuse_zero_init_last(self.style, "GoogLeNet")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x = as_clip(video)  # [N, T, H, W, C]
        x = self._unit(STEM, 7, 2, name="stem")(x, train=train)
        endpoints = {"stem": x}
        x = self._pool(x, stage=1)
        x = self._unit(REDUCED, name="stage1_reduce")(x, train=train)
        x = self._unit(EXPANDED, 3, name="stage1_conv")(x, train=train)
        endpoints["stage1"] = x = self._non_local(x, stage=1, train=train)
        for stage, blocks in STAGES[self.kind].items():
            x = self._pool(x, stage=stage)
            for number, branches in enumerate(blocks, start=1):
                block = Block(
                    _scaled(branches, self.width),
                    style=self.style,
                    name=f"stage{stage}_block{number}",
                )
                x = run_block(block, x, train=train, remat=self.remat_blocks)
            endpoints[f"stage{stage}"] = x = self._non_local(x, stage=stage, train=train)
        endpoints["features"] = x
        return endpoints

    def _non_local(self, x: jax.Array, *, stage: int, train: bool) -> jax.Array:
        if stage not in self.non_local:
            return x
        return NonLocal(style=self.style, name=f"stage{stage}_non_local")(x, train=train)

    def _unit(self, channels: int, size: int = 1, stride: int = 1, *, name: str) -> Unit:
        features = scaled(channels, self.width)
        return Unit(features, size, stride, style=self.style, name=name)

    def _pool(self, x: jax.Array, *, stage: int) -> jax.Array:
        window = POOLS[self.kind].get(stage)
        if window is None:  # the stage's first block strides
            return x
        return max_pool(x, (1, window, window), (1, 2, 2), "CEIL")


def _scaled(branches: Branches, width: float) -> Branches:
    """Branches with their channels times a width; those that are left out stay out."""
    changes = {}
    for branch in ("direct", "reduce1", "conv1", "reduce2", "conv2", "pooled"):
        channels = getattr(branches, branch)
        changes[branch] = scaled(channels, width) if channels else 0
    return branches._replace(**changes)
