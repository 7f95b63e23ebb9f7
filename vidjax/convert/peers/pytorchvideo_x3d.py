"""pytorchvideo's X3D: x3d_xs, x3d_s, x3d_m and x3d_l.

In the stem its names are crossed: `conv_t` is the convolution in space, `conv_xy` the one in time.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax.convert import x3d
from vidjax.convert.formats import leaves

CLIP = x3d.CLIP
GATE = re.compile(
    r"blocks\.\d\.res_blocks\.\d+\.branch2\.norm_b\.1\.block\.[02]\."
)  # no other of its networks has it
NAMES = x3d.Names(
    stem=("blocks.0.conv.conv_t", "blocks.0.conv.conv_xy", "blocks.0.norm"),
    stages=tuple(f"blocks.{stage}.res_blocks.{{}}" for stage in (1, 2, 3, 4)),
    convolutions=(
        ("branch2.conv_a", "branch2.norm_a"),
        ("branch2.conv_b", "branch2.norm_b.0"),
        ("branch2.conv_c", "branch2.norm_c"),
    ),
    gate=("branch2.norm_b.1.block.0", "branch2.norm_b.1.block.2"),
    shortcut=("branch1_conv", "branch1_norm"),
    last=("blocks.5.pool.pre_conv", "blocks.5.pool.pre_norm"),
    hidden="blocks.5.pool.post_conv",
    head="blocks.5.proj",
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a pytorchvideo X3D, whole or not."""
    return any(name.startswith("blocks.5.pool.p") or GATE.match(name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for depths that are no variant's."""
    return x3d.network(source, NAMES)


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for what the source shows."""
    return x3d.entries(source, NAMES)
