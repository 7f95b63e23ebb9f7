"""torchvision.models for images: ResNets of 18 to 101 layers, and MobileNetV2 of the usual widths.

A block of MobileNetV2 is a Sequential `conv`: expansion and depthwise convolution are Sequentials in it, each with its
normalisation, the projection and its normalisation are not; the first block does not expand.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence, images
from vidjax.convert.formats import leaves

CLIP = (1, 1, 32, 32, 3)
RESNET = re.compile(r"layer[1-4]\.\d+\.(conv|bn)[123]\.")
MOBILENET = re.compile(r"features\.\d+\.conv\.\d\.")
NARROW = {"features.17.conv.2.weight": 0, "features.17.conv.3.bias": 0, "features.18.0.weight": 1}


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of either, whole or not; 3D networks of the same names have larger kernels."""
    named = any(RESNET.match(name) or MOBILENET.match(name) for name in source)
    return named and all(len(np.shape(array)) < 5 for array in source.values())


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of resnet2d or mobilenet_v2."""
    if _is_mobilenet(source):
        fields = {
            "num_classes": evidence.num_classes(source, "classifier.1"),
            "alpha": images.alpha(source, NARROW),
        }
        return models.build("mobilenet_v2", variant="mobilenet_v2", **fields)
    variant = images.resnet_variant(source, "resnet2d")
    return models.build("resnet2d", variant=variant, num_classes=evidence.num_classes(source, "fc"))


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names."""
    if not _is_mobilenet(source):
        return images.resnet(source) + leaves.linear("fc", "head", "logits")
    found = images.conv_norm("features.0.0", "features.0.1", "stem")
    for i, block in enumerate(images.BLOCKS, start=1):
        theirs, nested = f"features.{i}.conv", ("expand", "depthwise") if i > 1 else ("depthwise",)
        for k, name in enumerate(nested):
            found += images.conv_norm(f"{theirs}.{k}.0", f"{theirs}.{k}.1", block, name)
        k = len(nested)
        found += images.conv_norm(f"{theirs}.{k}", f"{theirs}.{k + 1}", block, "project")
    found += images.conv_norm("features.18.0", "features.18.1", "last")
    return found + leaves.linear("classifier.1", "head", "logits")


def _is_mobilenet(source) -> bool:
    return any(MOBILENET.match(name) for name in source)
