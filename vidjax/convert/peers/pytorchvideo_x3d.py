"""pytorchvideo's X3D: x3d_xs, x3d_s, x3d_m and x3d_l.

XS, S and M have the same names and shapes, and differ in the clips they were trained on: they are read as x3d_m. In the
stem the names of pytorchvideo are crossed: `conv_t` is the convolution in space, `conv_xy` the one in time.
"""

import itertools
import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import leaves
from vidjax.convert.errors import ConvertError

STAGES = (1, 2, 3, 4)
CLIP = (1, 2, 16, 16, 3)
GATE = re.compile(r"blocks\.\d\.res_blocks\.\d+\.branch2\.norm_b\.1\.block\.[02]\.")  # no other of its networks has it


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of a pytorchvideo X3D, whole or not."""
    return any(name.startswith("blocks.5.pool.p") or GATE.match(name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for depths that are no variant's."""
    return build(_depths(source), _num_classes(source), _has(source, "blocks.1.res_blocks.0.branch1_norm."))


def build(depths: tuple[int, ...], num_classes: int, shortcut_norm: bool) -> nn.Module:
    """The classifier for the depths of its stages; the longest clip's name where several variants have them."""
    x3d = models.family("x3d")
    for name in reversed(x3d.VARIANTS):
        if x3d.num_blocks(x3d.VARIANTS[name]["depth_factor"]) == depths:
            rule = "always" if shortcut_norm else "widening"
            return models.build("x3d", variant=name, num_classes=num_classes, shortcut_norm=rule)
    raise ConvertError(f"an X3D of {depths} blocks is not a variant of x3d.")


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for the depths, gates and shortcuts that the source shows."""
    found = leaves.conv("blocks.0.conv.conv_t", "backbone", "stem", "spatial")
    found += leaves.conv("blocks.0.conv.conv_xy", "backbone", "stem", "temporal")
    found += leaves.norm("blocks.0.norm", "backbone", "stem", "norm")
    for stage, depth in zip(STAGES, _depths(source), strict=True):
        for block in range(depth):
            theirs = f"blocks.{stage}.res_blocks.{block}"
            found += _block(source, theirs, ("backbone", f"stage{stage}_block{block + 1}"))
    found += leaves.conv("blocks.5.pool.pre_conv", "backbone", "conv5", "conv")
    found += leaves.norm("blocks.5.pool.pre_norm", "backbone", "conv5", "norm")
    found.append(
        leaves.Entry("blocks.5.pool.post_conv.weight", ("params", "backbone", "hidden", "kernel"), leaves.matrix)
    )
    return found + leaves.linear("blocks.5.proj", "head", "logits")


def _block(source, theirs, ours) -> list[leaves.Entry]:
    found, branch = [], f"{theirs}.branch2"
    for conv, norm, name in (("a", "a", "conv1"), ("b", "b.0", "conv2"), ("c", "c", "conv3")):
        found += leaves.conv(f"{branch}.conv_{conv}", *ours, name, "conv")
        found += leaves.norm(f"{branch}.norm_{norm}", *ours, name, "norm")
    if _has(source, f"{branch}.norm_b.1."):
        found += leaves.linear(f"{branch}.norm_b.1.block.0", *ours, "squeeze_excite", "reduce")
        found += leaves.linear(f"{branch}.norm_b.1.block.2", *ours, "squeeze_excite", "expand")
    if _has(source, f"{theirs}.branch1_"):
        found += leaves.conv(f"{theirs}.branch1_conv", *ours, "shortcut", "conv")
    if _has(source, f"{theirs}.branch1_norm."):
        found += leaves.norm(f"{theirs}.branch1_norm", *ours, "shortcut", "norm")
    return found


def _depths(source) -> tuple[int, ...]:
    """Blocks in each stage."""
    counts = (
        itertools.takewhile(lambda b, s=s: _has(source, f"blocks.{s}.res_blocks.{b}."), itertools.count())
        for s in STAGES
    )
    return tuple(len(list(blocks)) for blocks in counts)


def _num_classes(source) -> int:
    """The length of the last layer; 1 where it is absent, which is then listed with all else that is."""
    shapes = [np.shape(source[name]) for name in ("blocks.5.proj.weight", "blocks.5.proj.bias") if name in source]
    return max([shape[0] for shape in shapes if shape and shape[0]], default=1)


def _has(source, prefix) -> bool:
    return any(name.startswith(prefix) for name in source)
