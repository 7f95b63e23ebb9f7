"""kenshohara/3D-ResNets-PyTorch: the 3D DenseNets of Hara et al., 121 to 264 layers.

The names are nearly those of torchvision's 2D DenseNets, and the kernels have five axes.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
LAYER = "features.denseblock<s>.denselayer<b>"
TABLE = Table(
    {
        "backbone/stem": ("features.conv1", "features.norm1"),
        "backbone/stage<s>_block<b>/conv<i>": (f"{LAYER}.conv<i>", f"{LAYER}.norm<i>"),
        "backbone/transition<s>": ("features.transition<s>.conv", "features.transition<s>.norm"),
        "backbone/norm": "features.norm5",
        "head/logits": "classifier",
    }
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of such a network, complete or not, with kernels of five axes."""
    num_kernels = 0
    for name, array in source.items():
        if re.fullmatch(r"features\.denseblock\d\.denselayer\d+\.conv[12]\.weight", name):
            num_kernels += 1
            # With four axes it is the 2D network.
            if np.ndim(array) != 5:
                return False
    return num_kernels > 0


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for no variant of densenet3d."""
    arrays = TABLE.our_arrays(source)
    depths = recognition.depths(arrays)
    variant = recognition.variant("densenet3d", depths=depths)
    if variant is None:
        raise ConvertError(f"a 3D DenseNet of {depths} layers is not a variant of densenet3d.")
    return models.build("densenet3d", variant=variant, num_classes=recognition.num_classes(arrays))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
