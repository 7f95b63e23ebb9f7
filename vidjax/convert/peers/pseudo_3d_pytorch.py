"""pseudo-3d-pytorch's P3D63, P3D131 and P3D199, of qijiezhao/pseudo-3d-pytorch.

Its last stage is made of 2D layers, with kernels of four axes. The kinds of the
blocks are not in the names: A, B and C are taken in turn, as in the networks with weights.
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
BLOCK = "layer<s>.<b-1>"
TABLE = Table(
    {
        "backbone/stem": ("conv1_custom", "bn1"),
        # The last stage has no convolution over time, so that the numbers shift: its rows stand
        # before those of all stages, which would match it, too.
        "backbone/stage4_block<b>/conv2": ("layer4.<b-1>.conv_normal", "layer4.<b-1>.bn_normal"),
        "backbone/stage<s>_block<b>/conv1": (f"{BLOCK}.conv1", f"{BLOCK}.bn1"),
        "backbone/stage<s>_block<b>/conv2": (f"{BLOCK}.conv2", f"{BLOCK}.bn2"),
        "backbone/stage<s>_block<b>/temporal": (f"{BLOCK}.conv3", f"{BLOCK}.bn3"),
        "backbone/stage<s>_block<b>/conv3": (f"{BLOCK}.conv4", f"{BLOCK}.bn4"),
        "backbone/stage<s>_block<b>/shortcut": (f"{BLOCK}.downsample.0", f"{BLOCK}.downsample.1"),
        "head/logits": "fc",
    }
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a P3D, complete or not."""
    return recognition.any_match(source, r"conv1_custom\.|layer4\.\d+\.(conv|bn)_normal\.")


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for depths that no variant has."""
    arrays = TABLE.our_arrays(source)
    depths = recognition.depths(arrays)
    variant = recognition.variant("p3d", depths=depths)
    if variant is None:
        raise ConvertError(f"a P3D of {depths} blocks is not a variant of p3d.")
    return models.build("p3d", variant=variant, num_classes=recognition.num_classes(arrays))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
