"""torchvision.models.video.s3d: one flat Sequential `features` of units, pools and blocks, and a `classifier`.

A unit is a Sequential of convolution (`.0`) and normalisation (`.1`); a separable one is two of them, `.0` in space and
`.1` in time. Branches 1 and 2 of a block are two units, branch 3 is a pool and a unit.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves

CLIP = (1, 2, 16, 16, 3)
BLOCKS = {  # position in `features`; those between are pools
    5: "stage2_block1",
    6: "stage2_block2",
    8: "stage3_block1",
    9: "stage3_block2",
    10: "stage3_block3",
    11: "stage3_block4",
    12: "stage3_block5",
    14: "stage4_block1",
    15: "stage4_block2",
}
LOGITS = "classifier.1"


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of torchvision's S3D, whole or not."""
    return any(re.match(r"features\.\d+\.branch[0-3]\.", name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier: there is one variant."""
    return models.build("s3d", variant="s3d", num_classes=evidence.num_classes(source, LOGITS))


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names, the same for every source."""
    found = _separable("features.0", "stem") + _unit("features.2", "stage1_reduce")
    found += _separable("features.3", "stage1_conv")
    for position, block in BLOCKS.items():
        theirs = f"features.{position}"
        found += _unit(f"{theirs}.branch0", block, "direct")
        for branch in (1, 2):
            found += _unit(f"{theirs}.branch{branch}.0", block, f"reduce{branch}")
            found += _separable(f"{theirs}.branch{branch}.1", block, f"conv{branch}")
        found += _unit(f"{theirs}.branch3.1", block, "pooled")
    return found + leaves.linear(LOGITS, "head", "logits")


def _separable(theirs: str, *ours: str) -> list[leaves.Entry]:
    return _unit(f"{theirs}.0", *ours, "spatial") + _unit(f"{theirs}.1", *ours, "temporal")


def _unit(theirs: str, *ours: str) -> list[leaves.Entry]:
    conv = leaves.conv(f"{theirs}.0", "backbone", *ours, "conv")
    return conv + leaves.norm(f"{theirs}.1", "backbone", *ours, "norm")
