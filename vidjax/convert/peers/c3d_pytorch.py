"""DavideA/c3d-pytorch, C3D_model.py: C3D with the weights of Sports-1M, and what others trained from it by its names.

Its first wide layer sees [C, T, H, W] flattened, ours [T, H, W, C]: the rows change places.
"""

import math
from collections.abc import Callable, Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves

CONVOLUTIONS = {
    "conv1": "stem",
    "conv2": "stage1_conv1",
    "conv3a": "stage2_conv1",
    "conv3b": "stage2_conv2",
    "conv4a": "stage3_conv1",
    "conv4b": "stage3_conv2",
    "conv5a": "stage4_conv1",
    "conv5b": "stage4_conv2",
}
OWN = [name for name in CONVOLUTIONS if name[-1] in "ab"]  # the others' names are anybody's
CLIP = (1, 16, 112, 112, 3)  # the size that fc6 is made for


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with C3D's names, whole or not."""
    return sum(f"{name}.weight" in source for name in OWN) >= 2


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier: there is one variant, with any number of classes."""
    return models.build("c3d", variant="c3d", num_classes=evidence.num_classes(source, "fc8"))


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names."""
    found = []
    for theirs, ours in CONVOLUTIONS.items():
        found += leaves.conv(theirs, "backbone", ours, "conv", bias=True)
    channels = np.shape(source.get("conv5b.weight", np.zeros(1)))[0]
    weight, bias = leaves.linear("fc6", "backbone", "fc6", "dense")
    found += [leaves.Entry(weight.theirs, weight.ours, _rows(channels)), bias]
    found += leaves.linear("fc7", "backbone", "fc7", "dense")
    return found + leaves.linear("fc8", "head", "logits")


def _rows(channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """[F, C*T*H*W] -> [T*H*W*C, F] with the order of the rows changed; what cannot be taken apart stays, to be told of.

    T, H and W enter as one number: the order of positions is the same on both sides.
    """

    def change(array: np.ndarray) -> np.ndarray:
        if array.ndim != 2 or math.prod(array.shape) == 0 or array.shape[1] % channels:
            return array
        features, rows = array.shape
        array = array.reshape(features, channels, rows // channels)  # [F, C, T*H*W]
        return array.transpose(2, 1, 0).reshape(rows, features)

    return change
