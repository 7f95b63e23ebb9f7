"""torchvision.models.video's ResNets: r3d_18, mc3_18, r2plus1d_18, and anything else of that construction.

A factored convolution is a Sequential there (`.0` in space, `.1` normalisation, `.3` in time), a block's `conv1.0` is
the convolution and `conv1.1` its normalisation, and the stem is one flat Sequential.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

STAGES = (1, 2, 3, 4)
BLOCKS = tuple(f"layer{stage}.{{}}." for stage in STAGES)
CLIP = (1, 2, 16, 16, 3)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a torchvision video ResNet, whole or not."""
    return evidence.has(source, "stem.") and any(
        re.match(r"layer\d\.\d+\.conv[12]\.[01]\.", name) for name in source
    )


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of resnet3d."""
    fields = {"num_classes": evidence.num_classes(source, "fc"), **_midplanes(source)}
    return models.build(
        "resnet3d", variant=_variant(evidence.depths(source, BLOCKS), _kinds(source)), **fields
    )


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for the depths and kinds that the source shows."""
    depths, kinds = evidence.depths(source, BLOCKS), _kinds(source)
    found = _convolution(kinds[0], "stem", ("backbone", "stem"))
    for stage, depth, kind in zip(STAGES, depths, kinds[1:], strict=True):
        for block in range(depth):
            theirs, ours = f"layer{stage}.{block}", ("backbone", f"stage{stage}_block{block + 1}")
            for conv in ("conv1", "conv2"):
                found += _convolution(kind, f"{theirs}.{conv}", (*ours, conv), nested=True)
            if evidence.has(source, f"{theirs}.downsample."):
                found += leaves.conv(f"{theirs}.downsample.0", *ours, "shortcut", "conv")
                found += leaves.norm(f"{theirs}.downsample.1", *ours, "shortcut", "norm")
    return found + leaves.linear("fc", "head", "logits")


def _kinds(source) -> tuple[str, ...]:
    """Kinds of convolution of the stem and the stages."""
    stages = [rf"layer{s}\.\d+\.conv[12]\.0" for s in STAGES]
    return (
        _kind(source, r"stem\.3", r"stem\.0"),
        *(_kind(source, rf"{s}\.[03]", s) for s in stages),
    )


def _kind(source, factored: str, whole: str) -> str:
    """Told from whether a module with a factored convolution's name is there, else from a kernel's extent in time."""
    if any(re.fullmatch(rf"{factored}\.weight", name) for name in source):
        return "2plus1d"
    kernels = [np.shape(source[name]) for name in source if re.fullmatch(rf"{whole}\.weight", name)]
    return "2d" if any(len(shape) == 5 and shape[2] == 1 for shape in kernels) else "3d"


def _variant(depths, kinds) -> str:
    for name, row in models.family("resnet3d").VARIANTS.items():
        if (row["depths"], row["kinds"], row.get("fold_time", False)) == (depths, kinds, False):
            return name
    raise ConvertError(
        f"a ResNet of {depths} blocks of the kinds {kinds} is not a variant of resnet3d."
    )


def _midplanes(source) -> dict[str, str]:
    """The rule of the inner widths: where a stage changes its width the paper's two differ, torchvision's are equal."""
    for stage in STAGES[1:]:
        names = [f"layer{stage}.0.conv{i}.0.0.weight" for i in (1, 2)]
        if all(name in source for name in names):
            first, second = (np.shape(source[name])[:1] for name in names)
            return {"midplanes": "torchvision" if first == second else "paper"}
    return {}


def _convolution(kind, theirs, ours, *, nested=False) -> list[leaves.Entry]:
    """The entries of one convolution and its normalisation; `nested` where the convolution is a module of its own."""
    if kind != "2plus1d":
        return leaves.conv(f"{theirs}.0", *ours, "conv") + leaves.norm(f"{theirs}.1", *ours, "norm")
    inner = f"{theirs}.0" if nested else theirs
    return [
        *leaves.conv(f"{inner}.0", *ours, "conv", "spatial"),
        *leaves.norm(f"{inner}.1", *ours, "conv", "norm"),
        *leaves.conv(f"{inner}.3", *ours, "conv", "temporal"),
        *leaves.norm(f"{theirs}.1" if nested else f"{theirs}.4", *ours, "norm"),
    ]
