"""pytorchvideo's X3D: x3d_xs, x3d_s, x3d_m and x3d_l."""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax.convert import recognition
from vidjax.convert.peers import _x3d
from vidjax.convert.tables import Table

CLIP = _x3d.CLIP
BLOCK = "blocks.<s>.res_blocks.<b-1>"
BRANCH = f"{BLOCK}.branch2"
TABLE = Table(
    {
        # Its names are crossed here: `conv_t` is the convolution in space, `conv_xy` that in time.
        "backbone/stem/spatial": "blocks.0.conv.conv_t",
        "backbone/stem/temporal": "blocks.0.conv.conv_xy",
        "backbone/stem/norm": "blocks.0.norm",
        "backbone/stage<s>_block<b>/conv1": (f"{BRANCH}.conv_a", f"{BRANCH}.norm_a"),
        "backbone/stage<s>_block<b>/conv2": (f"{BRANCH}.conv_b", f"{BRANCH}.norm_b.0"),
        "backbone/stage<s>_block<b>/conv3": (f"{BRANCH}.conv_c", f"{BRANCH}.norm_c"),
        "backbone/stage<s>_block<b>/squeeze_excite/reduce": f"{BRANCH}.norm_b.1.block.0",
        "backbone/stage<s>_block<b>/squeeze_excite/expand": f"{BRANCH}.norm_b.1.block.2",
        "backbone/stage<s>_block<b>/shortcut": (f"{BLOCK}.branch1_conv", f"{BLOCK}.branch1_norm"),
        "backbone/conv5": ("blocks.5.pool.pre_conv", "blocks.5.pool.pre_norm"),
        "backbone/hidden": "blocks.5.pool.post_conv",
        "head/logits": "blocks.5.proj",
    }
)
# The pooling with convolutions, and the gate of squeeze-excitation: no other network of
# pytorchvideo has either.
MARKS = r"blocks\.5\.pool\.p|blocks\.\d\.res_blocks\.\d+\.branch2\.norm_b\.1\.block\.[02]\."


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a pytorchvideo X3D, complete or not."""
    return recognition.any_match(source, MARKS)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for depths that no variant has."""
    return _x3d.network(TABLE.our_arrays(source))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
