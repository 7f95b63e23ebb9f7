"""DavideA/c3d-pytorch, C3D_model.py: C3D with the weights of Sports-1M.

Others trained networks from it and kept its names. Its first wide layer gets [C, T, H, W]
flattened, ours [T, H, W, C]: the rows of the matrix change places.
"""

import math
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.tables import Layout, Table

CLIP = (1, 16, 112, 112, 3)  # the size that fc6 is made for
LAYERS = {
    "backbone/stem/conv": "conv1",
    "backbone/stage1_conv1/conv": "conv2",
    "backbone/stage2_conv1/conv": "conv3a",
    "backbone/stage2_conv2/conv": "conv3b",
    "backbone/stage3_conv1/conv": "conv4a",
    "backbone/stage3_conv2/conv": "conv4b",
    "backbone/stage4_conv1/conv": "conv5a",
    "backbone/stage4_conv2/conv": "conv5b",
    "backbone/fc6/dense": "fc6",
    "backbone/fc7/dense": "fc7",
    "head/logits": "fc8",
}
# Many networks have a conv1 and an fc8; two of these names together are C3D's alone.
MARKS = ("conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are C3D's, complete or not."""
    return sum(f"{name}.weight" in source for name in MARKS) >= 2


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier: there is one variant, with any number of classes."""
    num_classes = recognition.num_classes(table(source).our_arrays(source))
    return models.build("c3d", variant="c3d", num_classes=num_classes)


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names. The order of fc6's rows depends on the channels before it."""
    shape = np.shape(source.get("conv5b.weight", ()))  # [F, C, kt, kh, kw]
    channels = shape[0] if shape else 1
    return Table(LAYERS, layouts={"backbone/fc6/dense/kernel": _reordered_rows(channels)})


def _reordered_rows(channels: int) -> Layout:
    """The layout [F, C*T*H*W] -> [T*H*W*C, F]; an array of another shape stays as it is.

    T, H and W enter as one number, since both sides count positions in the same order.
    """

    def layout(array: np.ndarray) -> np.ndarray:
        if array.ndim != 2 or math.prod(array.shape) == 0:
            return array
        features, rows = array.shape
        if channels == 0 or rows % channels:
            return array
        array = array.reshape(features, channels, rows // channels)  # [F, C, T*H*W]
        return array.transpose(2, 1, 0).reshape(rows, features)

    return layout
