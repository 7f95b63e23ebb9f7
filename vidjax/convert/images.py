"""2D ResNets and MobileNetV2 in PyTorch: the tables of their entries, and what names and shapes tell of them.

torchvision holds them as they are, other code bases inside something of their own: `prefix` is where.
"""

import re
from collections.abc import Collection, Mapping

import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

STAGES = (1, 2, 3, 4)
# blocks of MobileNetV2 in their order
BLOCKS = tuple(
    f"stage{s}_block{b}"
    for s, depth in enumerate((1, 2, 3, 4, 3, 3, 1), 1)
    for b in range(1, depth + 1)
)
# channels of the last of them: width
ALPHAS = {112: 0.35, 160: 0.5, 240: 0.75, 320: 1.0, 416: 1.3, 448: 1.4}


def resnet(source: Collection[str], prefix: str = "", shifted_every: int = 0) -> list[leaves.Entry]:
    """The table of a ResNet's backbone, for the depths that the names show.

    The first convolution is called `conv1.net` in the first of each `shifted_every` blocks of a stage, if any.
    """
    found = conv_norm(f"{prefix}conv1", f"{prefix}bn1", "stem")
    convs = (1, 2, 3) if is_bottleneck(source, prefix) else (1, 2)
    for stage, depth in zip(STAGES, depths(source, prefix), strict=True):
        for block in range(depth):
            theirs, ours = f"{prefix}layer{stage}.{block}", f"stage{stage}_block{block + 1}"
            for i in convs:
                net = ".net" if i == 1 and shifted_every and block % shifted_every == 0 else ""
                found += conv_norm(f"{theirs}.conv{i}{net}", f"{theirs}.bn{i}", ours, f"conv{i}")
            if evidence.has(source, f"{theirs}.downsample."):
                found += conv_norm(
                    f"{theirs}.downsample.0", f"{theirs}.downsample.1", ours, "shortcut"
                )
    return found


def resnet_variant(source: Collection[str], family: str, prefix: str = "") -> str:
    """The variant of a family with as many blocks of this kind. Raises ConvertError where there is none."""
    shown = {"depths": depths(source, prefix), "bottleneck": is_bottleneck(source, prefix)}
    for name, row in models.family(family).VARIANTS.items():
        if shown.items() <= row.items():
            return name
    kind = "bottleneck" if shown["bottleneck"] else "basic"
    raise ConvertError(f"a ResNet of {shown['depths']} {kind} blocks is not a variant of {family}.")


def depths(source: Collection[str], prefix: str = "") -> tuple[int, ...]:
    """Blocks in each stage of a ResNet."""
    return evidence.depths(source, [f"{prefix}layer{stage}.{{}}." for stage in STAGES])


def is_bottleneck(source: Collection[str], prefix: str = "") -> bool:
    """Whether a ResNet's blocks have a third convolution."""
    return any(re.match(rf"{re.escape(prefix)}layer\d\.\d+\.(conv|bn)3\.", name) for name in source)


def alpha(source: Mapping[str, np.ndarray], axes: Mapping[str, int]) -> float:
    """The width of a MobileNetV2: `axes` says of some arrays where the last block's channels are counted.

    1 where all of them are absent, which is then listed with all else that is. Raises ConvertError for no known width.
    """
    for name, axis in axes.items():
        if name in source and len(np.shape(source[name])) > axis:
            channels = np.shape(source[name])[axis]
            if channels not in ALPHAS:
                raise ConvertError(
                    f"a MobileNetV2 with {channels} channels in its last block is of no known width."
                )
            return ALPHAS[channels]
    return 1.0


def conv_norm(conv: str, norm: str, *ours: str) -> list[leaves.Entry]:
    """The entries of a convolution and its normalisation in the backbone."""
    return leaves.conv(conv, "backbone", *ours, "conv") + leaves.norm(
        norm, "backbone", *ours, "norm"
    )
