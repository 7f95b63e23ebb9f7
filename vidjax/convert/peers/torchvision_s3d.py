"""torchvision.models.video.s3d: one flat Sequential `features` of units, pools and blocks.

A unit is a Sequential of convolution (`.0`) and normalisation (`.1`). A separable one is two units,
`.0` in space and `.1` in time. Branches 1 and 2 of a block are two units each, branch 3 is a pool
and a unit.
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.tables import Table

CLIP = (1, 2, 16, 16, 3)
BLOCKS = {  # by their position in `features`; pools are between them
    5: "backbone/stage2_block1",
    6: "backbone/stage2_block2",
    8: "backbone/stage3_block1",
    9: "backbone/stage3_block2",
    10: "backbone/stage3_block3",
    11: "backbone/stage3_block4",
    12: "backbone/stage3_block5",
    14: "backbone/stage4_block1",
    15: "backbone/stage4_block2",
}


def _layers() -> dict[str, str | tuple[str, str]]:
    layers = {
        **_separable("backbone/stem", "features.0"),
        "backbone/stage1_reduce": _unit("features.2"),
        **_separable("backbone/stage1_conv", "features.3"),
        "head/logits": "classifier.1",
    }
    for position, ours in BLOCKS.items():
        theirs = f"features.{position}"
        layers[f"{ours}/direct"] = _unit(f"{theirs}.branch0")
        layers[f"{ours}/reduce<i>"] = _unit(f"{theirs}.branch<i>.0")
        layers |= _separable(f"{ours}/conv<i>", f"{theirs}.branch<i>.1")
        layers[f"{ours}/pooled"] = _unit(f"{theirs}.branch3.1")
    return layers


def _separable(ours: str, theirs: str) -> dict[str, tuple[str, str]]:
    return {f"{ours}/spatial": _unit(f"{theirs}.0"), f"{ours}/temporal": _unit(f"{theirs}.1")}


def _unit(theirs: str) -> tuple[str, str]:
    """The names of a unit's convolution and normalisation."""
    return f"{theirs}.0", f"{theirs}.1"


TABLE = Table(_layers())


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of torchvision's S3D, complete or not."""
    return recognition.any_match(source, r"features\.\d+\.branch[0-3]\.")


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier: there is one variant."""
    num_classes = recognition.num_classes(TABLE.our_arrays(source))
    return models.build("s3d", variant="s3d", num_classes=num_classes)


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
