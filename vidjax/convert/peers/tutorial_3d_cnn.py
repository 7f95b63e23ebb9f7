"""OValery16/Tutorial-about-3D-convolutional-network, model.py: ConvColumn5 and ConvColumn6.

A column is a Sequential there, and the numbers of its modules depend on whether it has normalisation.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

COLUMNS = ("stem", "stage1", "stage2", "stage3")
WIDE = {"fc5": "batch0", "fc6": "batch1"}  # a wide layer and its normalisation
KERNEL = (2, 3, 3)  # of the columns; the tutorial's other networks have 2x2x2
CLIP = (1, 16, 78, 78, 3)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a ConvColumn, whole or not."""
    return any(re.match(r"conv_layer\d\.\d\.", name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for the tutorial's deeper networks."""
    kernels = {
        np.shape(a)[2:]
        for name, a in source.items()
        if re.fullmatch(r"conv_layer[1-4]\.\d\.weight", name)
    }
    kernels.discard(())  # of normalisation
    if any(name.startswith("conv_layer6.") for name in source) or kernels - {KERNEL}:
        raise ConvertError(
            "of the tutorial's networks only ConvColumn5 and ConvColumn6 are variants of convcolumn."
        )
    variant = "conv_column_6" if _has_norm(source) else "conv_column_5"
    return models.build(
        "convcolumn", variant=variant, num_classes=evidence.num_classes(source, "fc7")
    )


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for columns with or without normalisation."""
    norm, found = _has_norm(source), []
    for i, column in enumerate(COLUMNS, start=1):
        for conv, place in (("conv1", 0), ("conv2", 3 if norm else 2)):
            ours = ("backbone", column, conv)
            found += leaves.conv(f"conv_layer{i}.{place}", *ours, "conv", bias=True)
            if norm:
                found += leaves.norm(f"conv_layer{i}.{place + 1}", *ours, "norm")
    found += leaves.conv("conv_layer5", "backbone", "stage4", bias=True)
    for wide, norm_name in WIDE.items():
        found += leaves.linear(wide, "backbone", wide, "dense")
        found += leaves.norm(norm_name, "backbone", wide, "norm")
    return found + leaves.linear("fc7", "head", "logits")


def _has_norm(source) -> bool:
    """Whether the columns are normalised: only then is there a second module with parameters behind the first."""
    return any(re.match(r"conv_layer[1-4]\.[134]\.", name) for name in source)
