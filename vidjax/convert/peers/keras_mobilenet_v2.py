"""keras.applications.MobileNetV2 of the usual widths, with or without its top, and TensorFlow.js exports of it.

Kernels are [kh, kw, C, F] there, depthwise ones [kh, kw, C, 1]. Without a top the head of our classifier has one class
and is zero: what counts then is `features`, and a model with another head keeps its own where weights are transferred.
Teachable Machine puts two layers on the pooled features, `dense_Dense1` with a rectifier and `dense_Dense2` without a
bias. A head of one linear layer has no place for them, so they are dropped.
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence, images
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

CLIP = (1, 1, 32, 32, 3)
NAMES = (
    "Conv1/kernel",
    "bn_Conv1/gamma",
    "expanded_conv_project/kernel",
    "block_1_depthwise/depthwise_kernel",
)
NARROW = {"block_16_project/kernel": 3, "block_16_project_BN/beta": 0, "Conv_1/kernel": 2}
TOP = "predictions"
DROPPED = ("dense_Dense1/kernel", "dense_Dense1/bias", "dense_Dense2/kernel", "dense_Dense2/bias")


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with Keras's names of a MobileNetV2, whole or not."""
    return sum(name in source for name in NAMES) >= 2


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier; one class without a top. Raises ConvertError for a width that is no variant of mobilenet_v2."""
    tops = [
        np.shape(source[name])[-1:] for name in (f"{TOP}/kernel", f"{TOP}/bias") if name in source
    ]
    return models.build(
        "mobilenet_v2", variant=_variant(source), num_classes=max(sum(tops, ()), default=1)
    )


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names."""
    found = _conv_norm("Conv1", "bn_Conv1", "stem")
    for i, block in enumerate(images.BLOCKS):
        theirs = f"block_{i}" if i else "expanded_conv"
        for name in ("expand", "depthwise", "project") if i else ("depthwise", "project"):
            found += _conv_norm(f"{theirs}_{name}", f"{theirs}_{name}_BN", block, name)
    found += _conv_norm("Conv_1", "Conv_1_bn", "last")
    found += [leaves.Entry(name, leaves.DROPPED, leaves.same) for name in DROPPED if name in source]
    theirs, change = (
        (f"{TOP}/{{}}", leaves.same) if evidence.has(source, f"{TOP}/") else ("", _zeros)
    )
    logits = ("params", "head", "logits")
    return found + [
        leaves.Entry(theirs.format(name), (*logits, name), change) for name in ("kernel", "bias")
    ]


def _variant(source) -> str:
    alpha = images.alpha(source, NARROW)
    for name, row in models.family("mobilenet_v2").VARIANTS.items():
        if row["padding"] == "SAME" and row.get("alpha", 1.0) == alpha:
            return name
    raise ConvertError(f"a MobileNetV2 of width {alpha} is not a variant of mobilenet_v2.")


def _conv_norm(conv, norm, *ours) -> list[leaves.Entry]:
    kernel, change = (
        ("depthwise_kernel", _depthwise) if conv.endswith("depthwise") else ("kernel", _kernel)
    )
    names = {"gamma": ("params", "scale"), "beta": ("params", "bias")}
    names |= {"moving_mean": ("batch_stats", "mean"), "moving_variance": ("batch_stats", "var")}
    return [
        leaves.Entry(f"{conv}/{kernel}", ("params", "backbone", *ours, "conv", "kernel"), change),
        *(
            leaves.Entry(
                f"{norm}/{theirs}", (collection, "backbone", *ours, "norm", name), leaves.same
            )
            for theirs, (collection, name) in names.items()
        ),
    ]


def _kernel(array: np.ndarray) -> np.ndarray:
    return array[None]  # [1, kh, kw, C, F]


def _depthwise(array: np.ndarray) -> np.ndarray:
    return array.swapaxes(-1, -2)[None] if array.ndim == 4 else array  # [1, kh, kw, 1, C]


def _zeros(shape: leaves.Shape) -> np.ndarray:
    return np.zeros(shape, np.float32)
