"""PySlowFast's X3D, of facebookresearch/SlowFast: XS, S, M and L."""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax.convert import x3d
from vidjax.convert.formats import leaves

CLIP = x3d.CLIP
MARKS = (
    "s1.pathway0_stem.conv_xy.",
    "head.conv_5",
    "head.lin_5.",
)  # no other of its networks has them
NAMES = x3d.Names(
    stem=("s1.pathway0_stem.conv_xy", "s1.pathway0_stem.conv", "s1.pathway0_stem.bn"),
    stages=tuple(f"s{stage}.pathway0_res{{}}" for stage in (2, 3, 4, 5)),
    convolutions=(
        ("branch2.a", "branch2.a_bn"),
        ("branch2.b", "branch2.b_bn"),
        ("branch2.c", "branch2.c_bn"),
    ),
    gate=("branch2.se.fc1", "branch2.se.fc2"),
    shortcut=("branch1", "branch1_bn"),
    last=("head.conv_5", "head.conv_5_bn"),
    hidden="head.lin_5",
    head="head.projection",
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a PySlowFast X3D, whole or not."""
    return any(name.startswith(MARKS) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for depths that are no variant's."""
    return x3d.network(source, NAMES)


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for what the source shows."""
    return x3d.entries(source, NAMES)
