"""X3D: the table of its entries, and the variant that names tell of, in the spelling of either code base.

XS, S and M have the same names and shapes, and differ in the clips they were trained on: they are read as x3d_m. The
first shortcut has a normalisation in PySlowFast and none in pytorchvideo (`shortcut_norm`); the source shows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
Source = Mapping[str, np.ndarray]
Pair = tuple[str, str]  # a convolution and its normalisation


@dataclass(frozen=True)
class Names:
    """How a code base spells its modules."""

    stem: tuple[str, str, str]  # in space, in time, normalisation
    stages: tuple[str, str, str, str]  # the blocks of each, {} being a block's number
    convolutions: tuple[Pair, Pair, Pair]  # below a block, as the next two
    gate: Pair  # the two layers of squeeze-excitation
    shortcut: Pair
    last: Pair
    hidden: str
    head: str


def network(source: Source, names: Names) -> nn.Module:
    """The classifier; the longest clip's name where several variants fit. Raises ConvertError for depths of none."""
    depths, x3d = _depths(source, names), models.family("x3d")
    always = evidence.has(source, f"{names.stages[0].format(0)}.{names.shortcut[1]}.")
    fields = {"num_classes": evidence.num_classes(source, names.head)}
    fields["shortcut_norm"] = "always" if always else "widening"
    for name in reversed(x3d.VARIANTS):
        if x3d.num_blocks(x3d.VARIANTS[name]["depth_factor"]) == depths:
            return models.build("x3d", variant=name, **fields)
    raise ConvertError(f"an X3D of {depths} blocks is not a variant of x3d.")


def entries(source: Source, names: Names) -> list[leaves.Entry]:
    """The table of names for the depths, gates and shortcuts that the source shows."""
    space, time, norm = names.stem
    found = leaves.conv(space, "backbone", "stem", "spatial") + leaves.conv(
        time, "backbone", "stem", "temporal"
    )
    found += leaves.norm(norm, "backbone", "stem", "norm")
    for stage, (template, depth) in enumerate(
        zip(names.stages, _depths(source, names), strict=True), start=1
    ):
        for block in range(depth):
            found += _block(
                source,
                template.format(block),
                names,
                ("backbone", f"stage{stage}_block{block + 1}"),
            )
    found += leaves.conv(names.last[0], "backbone", "conv5", "conv")
    found += leaves.norm(names.last[1], "backbone", "conv5", "norm")
    hidden = ("params", "backbone", "hidden", "kernel")
    return [
        *found,
        leaves.Entry(f"{names.hidden}.weight", hidden, leaves.matrix),
        *leaves.linear(names.head, "head", "logits"),
    ]


def _block(source, theirs, names, ours) -> list[leaves.Entry]:
    found = []
    for (conv, norm), name in zip(names.convolutions, ("conv1", "conv2", "conv3"), strict=True):
        found += leaves.conv(f"{theirs}.{conv}", *ours, name, "conv")
        found += leaves.norm(f"{theirs}.{norm}", *ours, name, "norm")
    gate = [f"{theirs}.{layer}" for layer in names.gate]
    if any(evidence.has(source, f"{layer}.") for layer in gate):
        for layer, name in zip(gate, ("reduce", "expand"), strict=True):
            found += leaves.linear(layer, *ours, "squeeze_excite", name)
    conv, norm = (f"{theirs}.{name}" for name in names.shortcut)
    has_norm = evidence.has(source, f"{norm}.")
    if has_norm or evidence.has(source, f"{conv}."):
        found += leaves.conv(conv, *ours, "shortcut", "conv")
    return found + (leaves.norm(norm, *ours, "shortcut", "norm") if has_norm else [])


def _depths(source, names) -> tuple[int, ...]:
    return evidence.depths(source, [f"{stage}." for stage in names.stages])
