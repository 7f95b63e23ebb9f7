"""PySlowFast's X3D, of facebookresearch/SlowFast: XS, S, M and L.

XS, S and M have the same names and shapes, and are read as x3d_m. Its first shortcut has a normalisation where
pytorchvideo's has none (`shortcut_norm`); with one or without, the source shows it.
"""

import itertools
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax.convert import leaves
from vidjax.convert.peers import pytorchvideo_x3d

STAGES = (1, 2, 3, 4)  # theirs are s2 to s5
CLIP = pytorchvideo_x3d.CLIP
MARKS = ("s1.pathway0_stem.conv_xy.", "head.conv_5", "head.lin_5.")  # no other of its networks has them


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a PySlowFast X3D, whole or not."""
    return any(name.startswith(MARKS) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for depths that are no variant's."""
    shapes = [np.shape(source[name]) for name in ("head.projection.weight", "head.projection.bias") if name in source]
    num_classes = max([shape[0] for shape in shapes if shape and shape[0]], default=1)
    return pytorchvideo_x3d.build(_depths(source), num_classes, _has(source, "s2.pathway0_res0.branch1_bn."))


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for the depths, gates and shortcuts that the source shows."""
    found = leaves.conv("s1.pathway0_stem.conv_xy", "backbone", "stem", "spatial")
    found += leaves.conv("s1.pathway0_stem.conv", "backbone", "stem", "temporal")
    found += leaves.norm("s1.pathway0_stem.bn", "backbone", "stem", "norm")
    for stage, depth in zip(STAGES, _depths(source), strict=True):
        for block in range(depth):
            ours = ("backbone", f"stage{stage}_block{block + 1}")
            found += _block(source, f"s{stage + 1}.pathway0_res{block}", ours)
    found += leaves.conv("head.conv_5", "backbone", "conv5", "conv")
    found += leaves.norm("head.conv_5_bn", "backbone", "conv5", "norm")
    found.append(leaves.Entry("head.lin_5.weight", ("params", "backbone", "hidden", "kernel"), leaves.matrix))
    return found + leaves.linear("head.projection", "head", "logits")


def _block(source, theirs, ours) -> list[leaves.Entry]:
    found, branch = [], f"{theirs}.branch2"
    for letter, name in (("a", "conv1"), ("b", "conv2"), ("c", "conv3")):
        found += leaves.conv(f"{branch}.{letter}", *ours, name, "conv")
        found += leaves.norm(f"{branch}.{letter}_bn", *ours, name, "norm")
    if _has(source, f"{branch}.se."):
        found += leaves.linear(f"{branch}.se.fc1", *ours, "squeeze_excite", "reduce")
        found += leaves.linear(f"{branch}.se.fc2", *ours, "squeeze_excite", "expand")
    if _has(source, f"{theirs}.branch1"):
        found += leaves.conv(f"{theirs}.branch1", *ours, "shortcut", "conv")
    if _has(source, f"{theirs}.branch1_bn."):
        found += leaves.norm(f"{theirs}.branch1_bn", *ours, "shortcut", "norm")
    return found


def _depths(source) -> tuple[int, ...]:
    """Blocks in each stage."""
    counts = (
        itertools.takewhile(lambda b, s=s: _has(source, f"s{s + 1}.pathway0_res{b}."), itertools.count())
        for s in STAGES
    )
    return tuple(len(list(blocks)) for blocks in counts)


def _has(source, prefix) -> bool:
    return any(name.startswith(prefix) for name in source)
