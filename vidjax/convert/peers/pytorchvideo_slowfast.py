"""pytorchvideo's SlowFast networks: slowfast_r50, slowfast_r101, slowfast_16x8_r101_50_50.

`blocks.0` is the stem and `blocks.1` to `blocks.4` are the stages, each with its pathways (0 slow, 1 fast) and, but for
the last, the lateral connection behind it; `blocks.5` pools and has no entries.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax.convert import pathways
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

CLIP = (1, 8, 16, 16, 3)
NAMES = pathways.Names(
    stem=("blocks.0.multipathway_blocks.{p}.conv", "blocks.0.multipathway_blocks.{p}.norm"),
    fusion=(
        "blocks.{s}.multipathway_fusion.conv_fast_to_slow",
        "blocks.{s}.multipathway_fusion.norm",
    ),
    block="blocks.{s}.multipathway_blocks.{p}.res_blocks.{b}",
    shortcut=("branch1_conv", "branch1_norm"),
    convolutions=tuple((f"branch2.conv_{letter}", f"branch2.norm_{letter}") for letter in "abc"),
    head="blocks.6.proj",
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a pytorchvideo network of several pathways, whole or not."""
    return any(re.match(r"blocks\.\d\.multipathway_(blocks|fusion)\.", name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of slowfast."""
    if any(re.match(r"blocks\.\d\.multipathway_blocks\.2\.", name) for name in source):
        raise ConvertError("this network has three pathways (sound, too); slowfast has two.")
    return pathways.slowfast(source, NAMES)


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for the depths that the source shows."""
    return pathways.entries(source, NAMES, 2)
