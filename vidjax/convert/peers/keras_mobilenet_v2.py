"""keras.applications.MobileNetV2 of the usual widths, and TensorFlow.js exports of it.

Keras has kernels [kh, kw, C, F], and depthwise ones [kh, kw, C, 1].

A network without its top layer is read with a head of one class that is zero: only its `features`
are of use, and a run that starts from it replaces the head. Teachable Machine puts two layers on
the pooled features, `dense_Dense1` with a rectifier and `dense_Dense2` without a bias. A head of
one linear layer has no place for them, so they are dropped.
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.frameworks import KERAS
from vidjax.convert.peers import _mobilenet_v2
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 1, 32, 32, 3)
COLOURS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # x / 127.5 - 1
# Two of these names together are this network's alone.
MARKS = (
    "Conv1/kernel",
    "bn_Conv1/gamma",
    "expanded_conv_project/kernel",
    "block_1_depthwise/depthwise_kernel",
)
TOP = "predictions"  # the last layer
DROPPED = ("dense_Dense1/kernel", "dense_Dense1/bias", "dense_Dense2/kernel", "dense_Dense2/bias")


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a MobileNetV2 in Keras, complete or not."""
    return sum(name in source for name in MARKS) >= 2


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier, of one class without a top. Raises ConvertError for an unusual width."""
    arrays = table(source).our_arrays(source)
    alpha = _mobilenet_v2.alpha(arrays)
    # Keras pads with SAME, where PyTorch's variants pad both sides alike.
    variant = recognition.variant("mobilenet_v2", padding="SAME", alpha=alpha)
    if variant is None:
        raise ConvertError(f"a MobileNetV2 of width {alpha} is not a variant of mobilenet_v2.")
    return models.build(
        "mobilenet_v2", variant=variant, num_classes=recognition.num_classes(arrays)
    )


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names, with a head of zeros for a network without its top."""
    layers = {"backbone/stem": ("Conv1", "bn_Conv1"), "backbone/last": ("Conv_1", "Conv_1_bn")}
    for number, ours in enumerate(_mobilenet_v2.blocks()):
        # The first block does not expand and has a name without a number.
        theirs = f"block_{number}" if number else "expanded_conv"
        layers[f"{ours}/expand"] = (f"{theirs}_expand", f"{theirs}_expand_BN")
        # Keras calls this variable differently, so that it needs a row for itself.
        layers[f"{ours}/depthwise/conv/kernel"] = f"{theirs}_depthwise/depthwise_kernel"
        layers[f"{ours}/depthwise/norm"] = f"{theirs}_depthwise_BN"
        layers[f"{ours}/project"] = (f"{theirs}_project", f"{theirs}_project_BN")
    constants = {}
    if recognition.any_match(source, f"{TOP}/"):
        layers["head/logits"] = TOP
    else:
        constants = {"head/logits/kernel": 0.0, "head/logits/bias": 0.0}
    return Table(
        layers,
        framework=KERAS,
        layouts={"depthwise/conv/kernel": _depthwise_layout},
        constants=constants,
        dropped=DROPPED,
    )


def _depthwise_layout(array: np.ndarray) -> np.ndarray:
    """[kh, kw, C, 1] -> [1, kh, kw, 1, C]; any other array stays as it is."""
    return array.swapaxes(-1, -2)[None] if array.ndim == 4 else array
