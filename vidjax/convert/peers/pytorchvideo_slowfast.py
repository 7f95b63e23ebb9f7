"""pytorchvideo's SlowFast networks: slowfast_r50, slowfast_r101, slowfast_16x8_r101_50_50.

`blocks.0` is the stem and `blocks.1` to `blocks.4` are the stages. Each has its pathways (0 slow, 1
fast) and, but for the last, the lateral connection behind it. `blocks.5` pools, without weights.
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax.convert import recognition
from vidjax.convert.peers import _slowfast
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 8, 16, 16, 3)


def _pathway(number: int, suffix: str) -> dict[str, tuple[str, str]]:
    """The rows of one pathway, whose modules end with `suffix` in our names."""
    stem = f"blocks.0.multipathway_blocks.{number}"
    block = f"blocks.<s>.multipathway_blocks.{number}.res_blocks.<b-1>"
    ours = f"backbone/stage<s>{suffix}_block<b>"
    return {
        f"backbone/stem{suffix}": (f"{stem}.conv", f"{stem}.norm"),
        f"{ours}/conv1": (f"{block}.branch2.conv_a", f"{block}.branch2.norm_a"),
        f"{ours}/conv2": (f"{block}.branch2.conv_b", f"{block}.branch2.norm_b"),
        f"{ours}/conv3": (f"{block}.branch2.conv_c", f"{block}.branch2.norm_c"),
        f"{ours}/shortcut": (f"{block}.branch1_conv", f"{block}.branch1_norm"),
    }


def _fusion(stage: str) -> tuple[str, str]:
    fusion = f"blocks.{stage}.multipathway_fusion"
    return f"{fusion}.conv_fast_to_slow", f"{fusion}.norm"


TABLE = Table(
    {
        **_pathway(0, ""),
        **_pathway(1, "_fast"),
        "backbone/stem_fuse": _fusion("0"),
        "backbone/stage<s>_fuse": _fusion("<s>"),
        "head/logits": "blocks.6.proj",
    }
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a network of several pathways, complete or not."""
    return recognition.any_match(source, r"blocks\.\d\.multipathway_(blocks|fusion)\.")


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of slowfast."""
    if recognition.any_match(source, r"blocks\.\d\.multipathway_blocks\.2\."):
        raise ConvertError("this network has three pathways (sound, too); slowfast has two.")
    return _slowfast.network(TABLE.our_arrays(source))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
