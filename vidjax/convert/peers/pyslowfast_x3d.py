"""PySlowFast's X3D, of facebookresearch/SlowFast: XS, S, M and L."""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax.convert.peers import _x3d
from vidjax.convert.tables import Table

CLIP = _x3d.CLIP
BLOCK = "s<s+1>.pathway0_res<b-1>"
BRANCH = f"{BLOCK}.branch2"
TABLE = Table(
    {
        "backbone/stem/spatial": "s1.pathway0_stem.conv_xy",
        "backbone/stem/temporal": "s1.pathway0_stem.conv",
        "backbone/stem/norm": "s1.pathway0_stem.bn",
        "backbone/stage<s>_block<b>/conv1": (f"{BRANCH}.a", f"{BRANCH}.a_bn"),
        "backbone/stage<s>_block<b>/conv2": (f"{BRANCH}.b", f"{BRANCH}.b_bn"),
        "backbone/stage<s>_block<b>/conv3": (f"{BRANCH}.c", f"{BRANCH}.c_bn"),
        "backbone/stage<s>_block<b>/squeeze_excite/reduce": f"{BRANCH}.se.fc1",
        "backbone/stage<s>_block<b>/squeeze_excite/expand": f"{BRANCH}.se.fc2",
        "backbone/stage<s>_block<b>/shortcut": (f"{BLOCK}.branch1", f"{BLOCK}.branch1_bn"),
        "backbone/conv5": ("head.conv_5", "head.conv_5_bn"),
        "backbone/hidden": "head.lin_5",
        "head/logits": "head.projection",
    }
)
# No other network of PySlowFast has these.
MARKS = ("s1.pathway0_stem.conv_xy.", "head.conv_5", "head.lin_5.")


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a PySlowFast X3D, complete or not."""
    return any(name.startswith(MARKS) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for depths that no variant has."""
    return _x3d.network(TABLE.our_arrays(source))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
