"""kenshohara/3D-ResNets-PyTorch: the 3D ResNets of Hara et al. with shortcut B, 10 to 200 layers.

The names are those of torchvision's 2D ResNets, and the kernels have five axes.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.peers import _resnet
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
TABLE = Table({**_resnet.layers(), "head/logits": "fc"})
# Pseudo-3D networks have blocks of the same names; this code base's 2+1D network is not read.
OTHERS = (
    r"conv1_custom\.|layer\d\.\d+\.(conv|bn)(4|_normal)\.|conv1_[st]\.|layer\d\.\d+\.conv\d_[st]\."
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of such a network, complete or not, with kernels of five axes."""
    if recognition.any_match(source, OTHERS):
        return False
    num_kernels = 0
    for name, array in source.items():
        if re.fullmatch(r"layer\d\.\d+\.conv[123]\.weight", name):
            num_kernels += 1
            # With four axes it is the 2D network whose names these are.
            if np.ndim(array) != 5:
                return False
    return num_kernels > 0


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for no variant of resnet3d_50, and for shortcut A."""
    arrays = TABLE.our_arrays(source)
    depths = recognition.depths(arrays)
    basic = not _resnet.is_bottleneck(arrays)
    if not recognition.any_match(arrays, r"backbone/stage\d_block1/shortcut/"):
        raise ConvertError(
            "this 3D ResNet has no weights in its shortcuts (type A); those of type B are read."
        )
    for name, row in models.family("resnet3d_50").VARIANTS.items():
        # Networks of other authors have equal depths, and other strides.
        if not name.endswith("_hara"):
            continue
        if row["depths"] == depths and row.get("basic", False) == basic:
            return models.build(
                "resnet3d_50", variant=name, num_classes=recognition.num_classes(arrays)
            )
    kind = "two convolutions" if basic else "bottlenecks"
    raise ConvertError(f"a 3D ResNet of {depths} blocks of {kind} is not a variant of resnet3d_50.")


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
