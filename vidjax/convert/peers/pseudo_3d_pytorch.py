"""pseudo-3d-pytorch's P3D63, P3D131 and P3D199, of qijiezhao/pseudo-3d-pytorch.

The last stage is made of 2D layers there, with 4-dimensional kernels. The kinds of the blocks are not in the names:
A, B and C in turn are taken, as in the networks it has weights for.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

STAGES = (1, 2, 3, 4)
BLOCKS = tuple(f"layer{stage}.{{}}." for stage in STAGES)
CLIP = (1, 2, 16, 16, 3)
# a block's convolution and normalisation there, and our name: with kernels over time, and in the last stage
PSEUDO_3D = (
    ("conv1", "bn1", "conv1"),
    ("conv2", "bn2", "conv2"),
    ("conv3", "bn3", "temporal"),
    ("conv4", "bn4", "conv3"),
)
FRAMES = (
    ("conv1", "bn1", "conv1"),
    ("conv_normal", "bn_normal", "conv2"),
    ("conv4", "bn4", "conv3"),
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a P3D, whole or not."""
    return any(
        name.startswith("conv1_custom.") or re.match(r"layer4\.\d+\.(conv|bn)_normal\.", name)
        for name in source
    )


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for depths that are no variant's."""
    depths = evidence.depths(source, BLOCKS)
    for name, row in models.family("p3d").VARIANTS.items():
        if row["depths"] == depths:
            return models.build("p3d", variant=name, num_classes=evidence.num_classes(source, "fc"))
    raise ConvertError(f"a P3D of {depths} blocks is not a variant of p3d.")


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for the depths and shortcuts that the source shows."""
    found = leaves.conv("conv1_custom", "backbone", "stem", "conv") + leaves.norm(
        "bn1", "backbone", "stem", "norm"
    )
    for stage, depth in zip(STAGES, evidence.depths(source, BLOCKS), strict=True):
        for block in range(depth):
            theirs, ours = f"layer{stage}.{block}", ("backbone", f"stage{stage}_block{block + 1}")
            for conv, norm, name in FRAMES if stage == STAGES[-1] else PSEUDO_3D:
                found += leaves.conv(f"{theirs}.{conv}", *ours, name, "conv")
                found += leaves.norm(f"{theirs}.{norm}", *ours, name, "norm")
            if evidence.has(source, f"{theirs}.downsample."):
                found += leaves.conv(f"{theirs}.downsample.0", *ours, "shortcut", "conv")
                found += leaves.norm(f"{theirs}.downsample.1", *ours, "shortcut", "norm")
    return found + leaves.linear("fc", "head", "logits")
