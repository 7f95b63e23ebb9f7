"""torchvision.models for images: ResNets of 18 to 101 layers, and MobileNetV2 of the usual widths.

A block of MobileNetV2 is a Sequential `conv`. The expansion and the depthwise convolution are
Sequentials in it, each with its normalisation; the projection and its normalisation are not. The
first block does not expand.
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.peers import _mobilenet_v2, _resnet
from vidjax.convert.tables import Table

CLIP = (1, 1, 32, 32, 3)
COLOURS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
RESNET = r"layer[1-4]\.\d+\.(conv|bn)[123]\."
MOBILENET = r"features\.\d+\.conv\.\d\."


def _mobilenet_layers() -> dict[str, str | tuple[str, str]]:
    layers = {
        "backbone/stem": ("features.0.0", "features.0.1"),
        "backbone/last": ("features.18.0", "features.18.1"),
        "head/logits": "classifier.1",
    }
    for position, ours in enumerate(_mobilenet_v2.blocks(), start=1):
        theirs = f"features.{position}.conv"
        # These layers are Sequentials; the projection behind them is not.
        nested = ("expand", "depthwise") if position > 1 else ("depthwise",)
        for index, name in enumerate(nested):
            layers[f"{ours}/{name}"] = (f"{theirs}.{index}.0", f"{theirs}.{index}.1")
        index = len(nested)
        layers[f"{ours}/project"] = (f"{theirs}.{index}", f"{theirs}.{index + 1}")
    return layers


RESNET_TABLE = Table({**_resnet.layers(), "head/logits": "fc"})
MOBILENET_TABLE = Table(_mobilenet_layers())


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of either, complete or not.

    3D networks of other code bases have the same names and kernels of five axes.
    """
    if not recognition.any_match(source, f"{RESNET}|{MOBILENET}"):
        return False
    return all(np.ndim(array) < 5 for array in source.values())


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for no variant of resnet2d or mobilenet_v2."""
    arrays = table(source).our_arrays(source)
    num_classes = recognition.num_classes(arrays)
    if recognition.any_match(source, MOBILENET):
        return models.build(
            "mobilenet_v2",
            variant="mobilenet_v2",
            num_classes=num_classes,
            # There is one variant of PyTorch's padding, and every width of it is a field.
            alpha=_mobilenet_v2.alpha(arrays),
        )
    variant = _resnet.variant_2d(arrays, "resnet2d")
    return models.build("resnet2d", variant=variant, num_classes=num_classes)


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names of either."""
    if recognition.any_match(source, MOBILENET):
        return MOBILENET_TABLE
    return RESNET_TABLE
