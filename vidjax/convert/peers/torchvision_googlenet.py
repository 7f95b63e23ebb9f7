"""torchvision.models.googlenet: Inception-v1 for images, with or without auxiliary classifiers.

A unit is `conv` and `bn`. Branches 2 and 3 of a block are two units each, branch 4 is a pool and a
unit. The two auxiliary classifiers help in training alone; our network has none, so their arrays
are dropped. The weights take colours of mean 0.5 and standard deviation 0.5.
"""

from collections.abc import Iterator, Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.tables import Table

CLIP = (1, 1, 32, 32, 3)
COLOURS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
BLOCKS = {
    "3a": "stage2_block1",
    "3b": "stage2_block2",
    "4a": "stage3_block1",
    "4b": "stage3_block2",
    "4c": "stage3_block3",
    "4d": "stage3_block4",
    "4e": "stage3_block5",
    "5a": "stage4_block1",
    "5b": "stage4_block2",
}
BRANCHES = {
    "branch1": "direct",
    "branch2.0": "reduce1",
    "branch2.1": "conv1",
    "branch3.0": "reduce2",
    "branch3.1": "conv2",
    "branch4.1": "pooled",
}


def _layers() -> dict[str, str | tuple[str, str]]:
    layers = {
        "backbone/stem": _unit("conv1"),
        "backbone/stage1_reduce": _unit("conv2"),
        "backbone/stage1_conv": _unit("conv3"),
        "head/logits": "fc",
    }
    for their_block, our_block in BLOCKS.items():
        for their_branch, our_branch in BRANCHES.items():
            theirs = f"inception{their_block}.{their_branch}"
            layers[f"backbone/{our_block}/{our_branch}"] = _unit(theirs)
    return layers


def _unit(theirs: str) -> tuple[str, str]:
    """The names of a unit's convolution and normalisation."""
    return f"{theirs}.conv", f"{theirs}.bn"


def _auxiliary() -> Iterator[str]:
    """The names of the two auxiliary classifiers' arrays."""
    for classifier in ("aux1", "aux2"):
        yield f"{classifier}.conv.conv.weight"
        for variable in ("weight", "bias", "running_mean", "running_var"):
            yield f"{classifier}.conv.bn.{variable}"
        for layer in ("fc1", "fc2"):
            yield f"{classifier}.{layer}.weight"
            yield f"{classifier}.{layer}.bias"


TABLE = Table(_layers(), dropped=frozenset(_auxiliary()))


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of torchvision's GoogLeNet, complete or not."""
    return recognition.any_match(source, r"inception[345][a-e]\.branch[1-4]\.")


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier: there is one variant with these names."""
    num_classes = recognition.num_classes(TABLE.our_arrays(source))
    return models.build("googlenet", variant="googlenet", num_classes=num_classes)


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
