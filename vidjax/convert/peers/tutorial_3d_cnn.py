"""OValery16/Tutorial-about-3D-convolutional-network, model.py: ConvColumn5 and ConvColumn6.

A column is a Sequential. The numbers of its modules depend on whether it is normalised.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

COLUMNS = ("backbone/stem", "backbone/stage1", "backbone/stage2", "backbone/stage3")
KERNEL = (2, 3, 3)  # of the columns; the tutorial's other networks have 2x2x2
CLIP = (1, 16, 78, 78, 3)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a ConvColumn, complete or not."""
    return recognition.any_match(source, r"conv_layer\d\.\d\.")


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for the tutorial's deeper networks."""
    is_other = any(name.startswith("conv_layer6.") for name in source)
    for name, array in source.items():
        if re.fullmatch(r"conv_layer[1-4]\.\d\.weight", name):
            size = np.shape(array)[2:]  # of [F, C, kt, kh, kw]; () of a normalisation's scale
            is_other = is_other or size not in (KERNEL, ())
    if is_other:
        raise ConvertError(
            "of the tutorial's networks only ConvColumn5 and ConvColumn6 are variants of "
            "convcolumn."
        )
    variant = "conv_column_6" if _has_norm(source) else "conv_column_5"
    num_classes = recognition.num_classes(table(source).our_arrays(source))
    return models.build("convcolumn", variant=variant, num_classes=num_classes)


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names for columns with or without normalisation."""
    # Convolution, (normalisation,) activation, convolution, (normalisation,) ...
    second = 3 if _has_norm(source) else 2
    layers = {}
    for number, ours in enumerate(COLUMNS, start=1):
        theirs = f"conv_layer{number}"
        # Without normalisation the second names of these pairs are not asked for.
        layers[f"{ours}/conv1"] = (f"{theirs}.0", f"{theirs}.1")
        layers[f"{ours}/conv2"] = (f"{theirs}.{second}", f"{theirs}.{second + 1}")
    layers["backbone/stage4"] = "conv_layer5"
    layers["backbone/fc5/dense"] = "fc5"
    layers["backbone/fc5/norm"] = "batch0"
    layers["backbone/fc6/dense"] = "fc6"
    layers["backbone/fc6/norm"] = "batch1"
    layers["head/logits"] = "fc7"
    return Table(layers)


def _has_norm(source: Mapping[str, np.ndarray]) -> bool:
    """Whether columns are normalised: then a second module with parameters follows the first."""
    return recognition.any_match(source, r"conv_layer[1-4]\.[134]\.")
