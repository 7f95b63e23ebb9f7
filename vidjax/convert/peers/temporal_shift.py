"""mit-han-lab/temporal-shift-module, the authors' shift networks: ResNets with `blockres` shifts, and MobileNetV2.

Everything but the last layer is below `base_model`; a shifted convolution is called `net`. A block of their MobileNetV2
is one flat Sequential: 0, 3 and 6 are the convolutions, a normalisation follows each; the first block has no 0 to 2.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence, images
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 32, 32, 3)
PREFIX = "base_model."
MOBILENET = re.compile(r"base_model\.features\.\d+\.conv\.\d\.")
SHIFTED = re.compile(
    r"base_model\.(layer[1-4]\.\d+\.(block\.)?conv1|features\.\d+\.conv\.0)\.net\.weight"
)
BLOCKS_WITH_SHORTCUT = re.compile(r"stage[2-6]_block[2-9]")
# depths of the one ResNet that is shifted in every second block only
EVERY_SECOND = (3, 4, 23, 3)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a shift network, whole or not."""
    return any(SHIFTED.fullmatch(name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of tsm."""
    if any(".nl." in name for name in source):
        raise ConvertError("this shift network has non-local blocks, which no variant of tsm has.")
    classes = evidence.num_classes(source, _head(source))
    if not _is_mobilenet(source):
        return models.build(
            "tsm", variant=images.resnet_variant(source, "tsm", PREFIX), num_classes=classes
        )
    return models.build("tsm", variant="tsm_mobilenet_v2_8f", num_classes=classes)


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names."""
    if _is_mobilenet(source):
        found = _mobilenet()
    else:
        every = 2 if images.depths(source, PREFIX) == EVERY_SECOND else 1
        found = images.resnet(source, PREFIX, shifted_every=every)
    return found + leaves.linear(_head(source), "head", "logits")


def _mobilenet() -> list[leaves.Entry]:
    found = images.conv_norm(f"{PREFIX}features.0.0", f"{PREFIX}features.0.1", "stem")
    for i, block in enumerate(images.BLOCKS, start=1):
        theirs, names = f"{PREFIX}features.{i}.conv", ("expand", "depthwise", "project")
        for k, name in enumerate(names if i > 1 else names[1:]):
            net = ".net" if name == "expand" and BLOCKS_WITH_SHORTCUT.fullmatch(block) else ""
            found += images.conv_norm(
                f"{theirs}.{3 * k}{net}", f"{theirs}.{3 * k + 1}", block, name
            )
    return found + images.conv_norm(f"{PREFIX}features.18.0", f"{PREFIX}features.18.1", "last")


def _head(source) -> str:
    """Their last layer stays in the 2D network only where that was trained without dropout."""
    inside = f"{PREFIX}{'classifier' if _is_mobilenet(source) else 'fc'}"
    return inside if evidence.has(source, f"{inside}.") else "new_fc"


def _is_mobilenet(source) -> bool:
    return any(MOBILENET.match(name) for name in source)
