"""PySlowFast's SlowFast, Slow, I3D and C2D networks, as facebookresearch/SlowFast publishes them.

`s1` is the stem, `s2` to `s5` are the stages. A module of a pathway begins with `pathway0_` (the
slow or only one) or `pathway1_` (fast). X3D has blocks of the same names and
is read by another file.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.peers import _slowfast
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 8, 16, 16, 3)
LAYERS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101}  # by depths
# Of X3D: its stem, squeeze-excitation and head.
X3D = r"s1\.pathway0_stem\.conv_xy\.|s\d\.pathway0_res\d+\.branch2\.se\.|head\.(conv_5|lin_5)"


def _pathway(number: int, suffix: str) -> dict[str, tuple[str, str]]:
    """The rows of one pathway, whose modules end with `suffix` in our names."""
    stem = f"s1.pathway{number}_stem"
    block = f"s<s+1>.pathway{number}_res<b-1>"
    ours = f"backbone/stage<s>{suffix}_block<b>"
    return {
        f"backbone/stem{suffix}": (f"{stem}.conv", f"{stem}.bn"),
        f"{ours}/conv1": (f"{block}.branch2.a", f"{block}.branch2.a_bn"),
        f"{ours}/conv2": (f"{block}.branch2.b", f"{block}.branch2.b_bn"),
        f"{ours}/conv3": (f"{block}.branch2.c", f"{block}.branch2.c_bn"),
        f"{ours}/shortcut": (f"{block}.branch1", f"{block}.branch1_bn"),
    }


TABLE = Table(
    {
        **_pathway(0, ""),
        **_pathway(1, "_fast"),
        "backbone/stem_fuse": ("s1_fuse.conv_f2s", "s1_fuse.bn"),
        "backbone/stage<s>_fuse": ("s<s+1>_fuse.conv_f2s", "s<s+1>_fuse.bn"),
        "head/logits": "head.projection",
    }
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a ResNet of one or two pathways, complete or not."""
    if recognition.any_match(source, X3D):
        return False
    if any(_is_depthwise(name, array) for name, array in source.items()):
        return False
    return recognition.any_match(source, r"s\d(\.pathway\d_(stem|res\d+)\.|_fuse\.)")


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of slowfast or resnet3d_50.

    I3D and C2D pool over time behind the first stage. No name shows it: it is taken for granted.
    """
    for part, what in (("_nonlocal", "non-local blocks"), ("pathway2_", "a pathway for sound")):
        if any(part in name for name in source):
            raise ConvertError(f"this network has {what}, which none of ours has.")
    arrays = TABLE.our_arrays(source)
    # A lateral connection is enough, in case everything of the fast pathway is missing.
    if recognition.any_match(source, r"s\d(\.pathway1_|_fuse\.)"):
        return _slowfast.network(arrays)
    depths = recognition.depths(arrays)
    if depths not in LAYERS:
        raise ConvertError(
            f"a network of one pathway with {depths} blocks is not a variant of resnet3d_50."
        )
    variant = f"{_kind(arrays, depths)}_r{LAYERS[depths]}"
    return models.build("resnet3d_50", variant=variant, num_classes=recognition.num_classes(arrays))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network: one of a single pathway uses a part of it."""
    return TABLE


def _kind(arrays: recognition.Arrays, depths: tuple[int, ...]) -> str:
    """The kind of network: kernels cover several frames in I3D's first stage, in Slow's last."""
    temporal_stages = set()
    for stage, depth in zip(recognition.STAGES, depths, strict=True):
        if max(_slowfast.first_kernel_frames(arrays, stage, depth)) > 1:
            temporal_stages.add(stage)
    if 1 in temporal_stages or recognition.kernel_frames(arrays, "backbone/stem/conv") > 1:
        return "i3d"
    return "slow" if temporal_stages else "c2d"


def _is_depthwise(name: str, array: np.ndarray) -> bool:
    """Whether the kernel is one of X3D's over single channels."""
    kernels = r"s1\.pathway0_stem\.conv\.weight|s\d\.pathway0_res\d+\.branch2\.b\.weight"
    if not re.match(kernels, name):
        return False
    shape = np.shape(array)  # [F, C, kt, kh, kw]
    return len(shape) == 5 and shape[1] == 1 and shape[0] > 1
