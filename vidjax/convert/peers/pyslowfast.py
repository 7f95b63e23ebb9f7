"""PySlowFast's SlowFast, Slow, I3D and C2D networks: the checkpoints of facebookresearch/SlowFast's model zoo.

`s1` is the stem, `s2` to `s5` are the stages; a module of a pathway starts with `pathway0_` (the slow or only one) or
`pathway1_` (fast). X3D, which spells its blocks alike, has a stem, kernels and a head of its own: it is not of here.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence, pathways
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

CLIP = (1, 8, 16, 16, 3)
NAMES = pathways.Names(
    stem=("s1.pathway{p}_stem.conv", "s1.pathway{p}_stem.bn"),
    fusion=("s{next}_fuse.conv_f2s", "s{next}_fuse.bn"),
    block="s{next}.pathway{p}_res{b}",
    shortcut=("branch1", "branch1_bn"),
    convolutions=tuple((f"branch2.{letter}", f"branch2.{letter}_bn") for letter in "abc"),
    head="head.projection",
)
LAYERS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101}
X3D = r"s1\.pathway0_stem\.conv_xy\.|s\d\.pathway0_res\d+\.branch2\.se\.|head\.(conv_5|lin_5)"


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a PySlowFast ResNet of one or two pathways, whole or not."""
    if any(re.match(X3D, name) or _is_depthwise(name, array) for name, array in source.items()):
        return False
    return any(re.match(r"s\d(\.pathway\d_(stem|res\d+)\.|_fuse\.)", name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of slowfast or resnet3d_50.

    Pooling over time (I3D and C2D, behind the first stage) is in no name: the networks are taken to be those with it.
    """
    for part, what in (("_nonlocal", "non-local blocks"), ("pathway2_", "a pathway for sound")):
        if any(part in name for name in source):
            raise ConvertError(f"this network has {what}, which none of ours has.")
    if _num_pathways(source) == 2:
        return pathways.slowfast(source, NAMES)
    depths = pathways.depths(source, NAMES)
    if depths not in LAYERS:
        raise ConvertError(
            f"a network of one pathway with {depths} blocks is not a variant of resnet3d_50."
        )
    variant = f"{_kind(source)}_r{LAYERS[depths]}"
    return models.build(
        "resnet3d_50", variant=variant, num_classes=evidence.num_classes(source, NAMES.head)
    )


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for the pathways and depths that the source shows."""
    return pathways.entries(source, NAMES, _num_pathways(source))


def _num_pathways(source) -> int:
    return 2 if any(re.match(r"s\d(\.pathway1_|_fuse\.)", name) for name in source) else 1


def _kind(source) -> str:
    """Told from which kernels cover several frames: the first stage's in I3D, only the later ones' in Slow."""
    first, *others = (
        any(k > 1 for k in pathways.extents(source, NAMES, stage)) for stage in pathways.STAGES
    )
    if first or pathways.extent(source, NAMES.stem[0].format(p=0)) > 1:
        return "i3d"
    return "slow" if any(others) else "c2d"


def _is_depthwise(name, array) -> bool:
    """Whether a kernel is one of X3D's that sees a single channel."""
    shape = np.shape(array)
    conv = re.match(
        r"s1\.pathway0_stem\.conv\.weight|s\d\.pathway0_res\d+\.branch2\.b\.weight", name
    )
    return bool(conv) and len(shape) == 5 and shape[1] == 1 and shape[0] > 1
