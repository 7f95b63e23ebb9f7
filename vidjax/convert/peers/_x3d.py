"""X3D: which variant arrays under our paths are of, whatever their code base called them.

XS, S and M have the same names and shapes and differ in the clips that they were trained on: all
are read as x3d_m.
"""

import flax.linen as nn

from vidjax import models
from vidjax.convert import recognition
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)


def network(arrays: recognition.Arrays) -> nn.Module:
    """The classifier. Raises ConvertError for depths that no variant has."""
    depths = recognition.depths(arrays)
    # PySlowFast normalises the first shortcut, although it does not widen; pytorchvideo does not.
    is_normalised = recognition.any_match(arrays, "backbone/stage1_block1/shortcut/norm/")
    family = models.family("x3d")
    # From the last: of the variants with equal depths that is the one of the longest clips.
    for name in reversed(family.VARIANTS):
        if family.num_blocks(family.VARIANTS[name]["depth_factor"]) == depths:
            return models.build(
                "x3d",
                variant=name,
                num_classes=recognition.num_classes(arrays),
                shortcut_norm="always" if is_normalised else "widening",
            )
    raise ConvertError(f"an X3D of {depths} blocks is not a variant of x3d.")
