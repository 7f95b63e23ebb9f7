"""torchvision.models.video's ResNets: r3d_18, mc3_18, r2plus1d_18, and anything else of that construction.

A factored convolution is a Sequential there (`.0` in space, `.1` normalisation, `.3` in time), a block's `conv1.0` is the
convolution and `conv1.1` its normalisation, and the stem is one flat Sequential.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import leaves
from vidjax.convert.errors import ConvertError

STAGES = (1, 2, 3, 4)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a torchvision video ResNet."""
    return {"stem.0.weight", "layer4.0.conv1.0.0.weight", "fc.weight"} <= set(source) or {
        "stem.0.weight",
        "layer4.0.conv1.0.weight",
        "fc.weight",
    } <= set(source)


def load(source: Mapping[str, np.ndarray], model: nn.Module | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The classifier and its variables; see `vidjax.convert.load`."""
    depths, kinds = _depths(source), _kinds(source)
    if model is None:
        num_classes = int(source["fc.weight"].shape[0])
        model = models.build("resnet3d", variant=_variant(depths, kinds), num_classes=num_classes, **_midplanes(source))
    return model, leaves.variables(source, _layers(depths, kinds, source), model, (1, 2, 16, 16, 3))


def _depths(source) -> tuple[int, ...]:
    """Blocks in each stage."""
    counts = (itertools.takewhile(lambda b, s=s: _has(source, f"layer{s}.{b}."), itertools.count()) for s in STAGES)
    return tuple(len(list(blocks)) for blocks in counts)


def _kinds(source) -> tuple[str, ...]:
    """Kinds of convolution of the stem and the stages, told from names and from the kernel's extent in time."""
    stem = "2plus1d" if "stem.3.weight" in source else _by_extent(source["stem.0.weight"])
    stages = (
        "2plus1d" if f"layer{s}.0.conv1.0.0.weight" in source else _by_extent(source[f"layer{s}.0.conv1.0.weight"])
        for s in STAGES
    )
    return (stem, *stages)


def _by_extent(kernel) -> str:
    return "2d" if kernel.shape[2] == 1 else "3d"


def _variant(depths, kinds) -> str:
    for name, row in models.family("resnet3d").VARIANTS.items():
        if (row["depths"], row["kinds"], row.get("fold_time", False)) == (depths, kinds, False):
            return name
    raise ConvertError(f"a ResNet of {depths} blocks of the kinds {kinds} is not a variant of resnet3d.")


def _midplanes(source) -> dict[str, str]:
    """The rule of the inner widths: in the first strided block the paper's two differ, torchvision's are equal."""
    first, second = "layer2.0.conv1.0.0.weight", "layer2.0.conv2.0.0.weight"
    if first not in source:
        return {}
    return {"midplanes": "torchvision" if source[first].shape[0] == source[second].shape[0] else "paper"}


def _layers(depths, kinds, source) -> list[leaves.Layer]:
    layers = _convolution(kinds[0], "stem", ("backbone", "stem"))
    for stage, depth, kind in zip(STAGES, depths, kinds[1:], strict=True):
        for block in range(depth):
            theirs, ours = f"layer{stage}.{block}", ("backbone", f"stage{stage}_block{block + 1}")
            for conv in ("conv1", "conv2"):
                layers += _convolution(kind, f"{theirs}.{conv}", (*ours, conv), nested=True)
            if _has(source, f"{theirs}.downsample."):
                layers.append(("conv", f"{theirs}.downsample.0", (*ours, "shortcut")))
                layers.append(("norm", f"{theirs}.downsample.1", (*ours, "shortcut_norm")))
    return [*layers, ("linear", "fc", ("head", "logits"))]


def _convolution(kind, theirs, ours, *, nested=False) -> list[leaves.Layer]:
    """The layers of one convolution and its normalisation; `nested` where the convolution is a module of its own."""
    if kind != "2plus1d":
        return [("conv", f"{theirs}.0", (*ours, "conv")), ("norm", f"{theirs}.1", (*ours, "norm"))]
    inner = f"{theirs}.0" if nested else theirs
    return [
        ("conv", f"{inner}.0", (*ours, "conv", "spatial")),
        ("norm", f"{inner}.1", (*ours, "conv", "norm")),
        ("conv", f"{inner}.3", (*ours, "conv", "temporal")),
        ("norm", f"{theirs}.1" if nested else f"{theirs}.4", (*ours, "norm")),
    ]


def _has(source, prefix) -> bool:
    return any(name.startswith(prefix) for name in source)
