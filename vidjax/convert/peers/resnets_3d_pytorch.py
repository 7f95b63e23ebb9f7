"""kenshohara/3D-ResNets-PyTorch: residual networks of Hara et al. with shortcut B.

3D ResNets of 10 to 200 layers, pre-activation ResNets, ResNeXt and Wide ResNet. The names are those
of torchvision's 2D ResNets, and the kernels have five axes. All of these networks have the same
names, so shapes tell them apart. The stem of ResNeXt and Wide ResNet has 64 channels in the first
weights that were published, and 128 in later code; both are read.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.peers import _resnet
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
TABLE = Table({**_resnet.layers(), "head/logits": "fc"})
# Pseudo-3D networks have blocks of the same names; this code base's 2+1D network is not read.
OTHERS = (
    r"conv1_custom\.|layer\d\.\d+\.(conv|bn)(4|_normal)\.|conv1_[st]\.|layer\d\.\d+\.conv\d_[st]\."
)
EXPANSION = 4  # output channels of a ResNet's bottleneck over its inner ones


class Inside(NamedTuple):
    """What the wide convolution of a bottleneck is like: fields of resnet3d_50."""

    groups: int = 1
    inner_factor: int = 1


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of such a network, complete or not, with kernels of five axes."""
    if recognition.any_match(source, OTHERS):
        return False
    num_kernels = 0
    for name, array in source.items():
        if re.fullmatch(r"layer\d\.\d+\.conv[123]\.weight", name):
            num_kernels += 1
            # With four axes it is the 2D network whose names these are.
            if np.ndim(array) != 5:
                return False
    return num_kernels > 0


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for what is no variant, and for shortcut A."""
    arrays = TABLE.our_arrays(source)
    depths = recognition.depths(arrays)
    basic = not _resnet.is_bottleneck(arrays)
    if not recognition.any_match(arrays, r"backbone/stage\d_block1/shortcut/"):
        raise ConvertError(
            "this 3D ResNet has no weights in its shortcuts (type A); those of type B are read."
        )
    inside = Inside() if basic else _inside(arrays)
    fields = {}
    if _is_preactivation(arrays):
        family = "preact_resnet"
        variant = None
        if inside == Inside():
            variant = recognition.variant(family, depths=depths, basic=basic)
    else:
        family = "resnet3d_50"
        # Networks of other authors have equal depths, and convolutions of another kind.
        variant = recognition.variant(
            family, kind="3d", depths=depths, basic=basic, **inside._asdict()
        )
        stem = np.shape(arrays.get("backbone/stem/conv/kernel", ()))
        if stem and stem[-1]:
            fields["stem_channels"] = stem[-1]
    if variant is None:
        blocks = "two convolutions" if basic else "bottlenecks"
        if inside != Inside():
            blocks = f"{blocks} with groups={inside.groups}, inner_factor={inside.inner_factor}"
        raise ConvertError(
            f"a 3D ResNet of {depths} blocks of {blocks} is not a variant of {family}."
        )
    num_classes = recognition.num_classes(arrays)
    return models.build(family, variant=variant, num_classes=num_classes, **fields)


def _is_preactivation(arrays: recognition.Arrays) -> bool:
    """Whether a normalisation has the channels that go into its convolution, not the outgoing ones.

    Only convolutions that change the number of channels tell.
    """
    for path, scale in arrays.items():
        if not re.fullmatch(r"backbone/stage\d_block\d+/conv\d/norm/scale", path):
            continue
        kernel = arrays.get(path.replace("norm/scale", "conv/kernel"))
        if kernel is not None:
            *_, num_in, num_out = kernel.shape
            if num_in != num_out and scale.shape == (num_in,):
                return True
    return False


def _inside(arrays: recognition.Arrays) -> Inside:
    """Groups and inner channels, as the first bottleneck with both of these kernels has them."""
    for path, wide in arrays.items():
        if not path.endswith("/conv2/conv/kernel"):
            continue
        last = arrays.get(path.replace("conv2", "conv3"))
        if last is not None and wide.size and last.size:
            *_, num_in, num_inner = wide.shape  # [kt, kh, kw, C / groups, F]
            num_out = last.shape[-1]
            return Inside(
                groups=max(1, num_inner // num_in),
                inner_factor=max(1, EXPANSION * num_inner // num_out),
            )
    return Inside()


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, the same for every network."""
    return TABLE
