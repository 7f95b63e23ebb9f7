"""mit-han-lab/temporal-shift-module: its ResNets with `blockres` shifts, and its MobileNetV2.

Everything but the last layer is below `base_model`; a shifted convolution is called `net`. A block
of this MobileNetV2 is one flat Sequential: 0, 3 and 6 are the convolutions, and a normalisation
follows each. The first block does not expand and begins with what is 3 in the others, as 0.
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.peers import _mobilenet_v2, _resnet
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 32, 32, 3)
PREFIX = "base_model."
MOBILENET = r"base_model\.features\.\d+\.conv\.\d\."
SHIFTED = r"base_model\.(layer[1-4]\.\d+\.(block\.)?conv1|features\.\d+\.conv\.0)\.net\.weight$"
EVERY_SECOND = (3, 4, 23, 3)  # depths of the one ResNet that shifts in every second block only


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a shift network, complete or not."""
    return recognition.any_match(source, SHIFTED)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of tsm."""
    if any(".nl." in name for name in source):
        raise ConvertError("this shift network has non-local blocks, which no variant of tsm has.")
    arrays = table(source).our_arrays(source)
    if recognition.any_match(source, MOBILENET):
        variant = "tsm_mobilenet_v2_8f"
    else:
        variant = _resnet.variant_2d(arrays, "tsm")
    return models.build("tsm", variant=variant, num_classes=recognition.num_classes(arrays))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names of the ResNet or the MobileNetV2 that the source is of."""
    if recognition.any_match(source, MOBILENET):
        layers = _mobilenet_layers()
        inner_head = f"{PREFIX}classifier"
    else:
        layers = _resnet_layers(source)
        inner_head = f"{PREFIX}fc"
    # The last layer stays in the 2D network only where that was trained without dropout.
    has_inner_head = any(name.startswith(f"{inner_head}.") for name in source)
    layers["head/logits"] = inner_head if has_inner_head else "new_fc"
    return Table(layers)


def _resnet_layers(source: Mapping[str, np.ndarray]) -> dict[str, str | tuple[str, str]]:
    layers = _resnet.layers(PREFIX)
    # The blocks can be counted without the shifted convolutions, by the others of each block.
    depths = recognition.depths(Table(layers).our_arrays(source))
    step = 2 if depths == EVERY_SECOND else 1
    shifted = {}
    for stage, depth in zip(recognition.STAGES, depths, strict=True):
        for block in range(0, depth, step):
            ours = f"backbone/stage{stage}_block{block + 1}/conv1/conv"
            shifted[ours] = f"{PREFIX}layer{stage}.{block}.conv1.net"
    # The first row that matches counts: these have to stand before those of all blocks.
    return {**shifted, **layers}


def _mobilenet_layers() -> dict[str, str | tuple[str, str]]:
    layers = {
        "backbone/stem": (f"{PREFIX}features.0.0", f"{PREFIX}features.0.1"),
        "backbone/last": (f"{PREFIX}features.18.0", f"{PREFIX}features.18.1"),
    }
    for position, ours in enumerate(_mobilenet_v2.blocks(), start=1):
        theirs = f"{PREFIX}features.{position}.conv"
        names = ("expand", "depthwise", "project") if position > 1 else ("depthwise", "project")
        for index, name in enumerate(names):
            layers[f"{ours}/{name}"] = (f"{theirs}.{3 * index}", f"{theirs}.{3 * index + 1}")
        # Blocks with a shortcut shift: all but the first of each stage.
        if not ours.endswith("_block1"):
            layers[f"{ours}/expand"] = (f"{theirs}.0.net", f"{theirs}.1")
    return layers
