"""kenshohara/3D-ResNets-PyTorch: the 3D ResNets of Hara et al. with shortcut B, 10 to 200 layers deep.

The names are torchvision's of 2D ResNets (`conv1`, `layer1.0.bn2`, `layer2.0.downsample.0`); kernels have five axes.
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
# of pseudo-3D networks, which have blocks of the same names, and of a 2+1D one of this code base, which is not read
FOREIGN = (
    r"conv1_custom\.|layer\d\.\d+\.(conv|bn)(4|_normal)\.|conv1_[st]\.|layer\d\.\d+\.conv\d_[st]\."
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of such a network and kernels of five axes, whole or not."""
    kernels = [
        np.shape(a)
        for name, a in source.items()
        if re.fullmatch(r"layer\d\.\d+\.conv[123]\.weight", name)
    ]
    foreign = any(re.match(FOREIGN, name) for name in source)
    return bool(kernels) and not foreign and all(len(shape) == 5 for shape in kernels)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of resnet3d_50, or has shortcut A."""
    depths, basic = evidence.depths(source, BLOCKS), not _has(source, r"layer\d\.\d+\.(conv|bn)3\.")
    if not _has(source, r"layer\d\.0\.downsample\."):
        raise ConvertError(
            "this 3D ResNet has no weights in its shortcuts (type A); those of type B are read."
        )
    for name, row in models.family("resnet3d_50").VARIANTS.items():
        if name.endswith("_hara") and (row["depths"], row.get("basic", False)) == (depths, basic):
            return models.build(
                "resnet3d_50", variant=name, num_classes=evidence.num_classes(source, "fc")
            )
    kind = "two convolutions" if basic else "bottlenecks"
    raise ConvertError(f"a 3D ResNet of {depths} blocks of {kind} is not a variant of resnet3d_50.")


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for the stages and blocks that the source shows."""
    convs = (1, 2, 3) if _has(source, r"layer\d\.\d+\.(conv|bn)3\.") else (1, 2)
    found = leaves.conv("conv1", "backbone", "stem", "conv") + leaves.norm(
        "bn1", "backbone", "stem", "norm"
    )
    for stage, depth in zip(STAGES, evidence.depths(source, BLOCKS), strict=True):
        for block in range(depth):
            theirs, ours = f"layer{stage}.{block}", ("backbone", f"stage{stage}_block{block + 1}")
            for i in convs:
                found += leaves.conv(f"{theirs}.conv{i}", *ours, f"conv{i}", "conv")
                found += leaves.norm(f"{theirs}.bn{i}", *ours, f"conv{i}", "norm")
            if evidence.has(source, f"{theirs}.downsample."):
                found += leaves.conv(f"{theirs}.downsample.0", *ours, "shortcut", "conv")
                found += leaves.norm(f"{theirs}.downsample.1", *ours, "shortcut", "norm")
    return found + leaves.linear("fc", "head", "logits")


def _has(source, pattern: str) -> bool:
    return any(re.match(pattern, name) for name in source)
