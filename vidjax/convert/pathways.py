"""Networks of one or two pathways of bottlenecks: the table of their entries, and what names and shapes tell of them.

PySlowFast and pytorchvideo hold the same networks under other names; `Names` is one code base's spelling.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

STAGES = (1, 2, 3, 4)
FUSIONS = ("stem", "stage1", "stage2", "stage3")
SUFFIXES = ("", "_fast")  # of our names, by pathway
Source = Mapping[str, np.ndarray]
Pair = tuple[str, str]  # a convolution and its normalisation


@dataclass(frozen=True)
class Names:
    """How a code base spells its modules: {p} is the pathway, {s} the stage and {b} the block, from 0.

    PySlowFast counts its stages from 1 and starts with the stem, so there is {next}, which is {s} + 1, too.
    """

    stem: Pair
    fusion: Pair  # {s} is 0 for the one behind the stem
    block: str
    shortcut: Pair  # below `block`, as the next
    convolutions: tuple[Pair, Pair, Pair]
    head: str

    def prefix(self, stage: int, pathway: int, block: int | str) -> str:
        """What the names of one bottleneck start with."""
        return self.block.format(s=stage, next=stage + 1, p=pathway, b=block)


def entries(source: Source, names: Names, num_pathways: int) -> list[leaves.Entry]:
    """The table for the blocks that the source has; with one pathway it is that of a ResNet of blocks/residual.py."""
    found = []
    for pathway, suffix in enumerate(SUFFIXES[:num_pathways]):
        stem = [name.format(p=pathway) for name in names.stem]
        found += _conv_norm(*stem, f"stem{suffix}")
        for stage, depth in zip(STAGES, _depths(source, names, pathway), strict=True):
            for block in range(depth):
                prefix, ours = (
                    names.prefix(stage, pathway, block),
                    f"stage{stage}{suffix}_block{block + 1}",
                )
                for i, pair in enumerate(names.convolutions, start=1):
                    found += _conv_norm(*(f"{prefix}.{name}" for name in pair), ours, f"conv{i}")
                shortcut = [f"{prefix}.{name}" for name in names.shortcut]
                if any(evidence.has(source, f"{name}.") for name in shortcut):
                    found += _conv_norm(*shortcut, ours, "shortcut")
    if num_pathways == 2:
        for stage, ours in enumerate(FUSIONS):
            found += _conv_norm(
                *(name.format(s=stage, next=stage + 1) for name in names.fusion), f"{ours}_fuse"
            )
    return found + leaves.linear(names.head, "head", "logits")


def slowfast(source: Source, names: Names) -> nn.Module:
    """The classifier of a source with two pathways. Raises ConvertError for one that is no variant of slowfast.

    How many frames the slow pathway sees is in no shape: alpha is that of the published network with these depths and
    this extent of the lateral connections.
    """
    depths = tuple(
        max(pair) for pair in zip(*(_depths(source, names, p) for p in (0, 1)), strict=True)
    )
    told = {
        "slow_temporal": _temporal(source, names, 0, depths),
        "fast_temporal": _temporal(source, names, 1, depths),
    }
    fusions = [
        name.format(s=s, next=s + 1) for s in range(len(FUSIONS)) for name in names.fusion[:1]
    ]
    told["fusion_kernel"] = max((extent(source, name) for name in fusions), default=0)
    rows = {name: _row(row) for name, row in models.family("slowfast").VARIANTS.items()}
    near = [name for name, row in rows.items() if row["depths"] == depths]
    if told["fusion_kernel"]:
        near = [name for name in near if rows[name]["fusion_kernel"] == told["fusion_kernel"]]
    else:
        del told["fusion_kernel"]
    if not near:
        kernel = f"lateral kernels of {told.get('fusion_kernel', 'no')} frames"
        raise ConvertError(
            f"a SlowFast network of {depths} blocks with {kernel} is not a variant of slowfast."
        )
    best = max(
        near, key=lambda name: sum(rows[name][field] == value for field, value in told.items())
    )
    other = {field: value for field, value in told.items() if rows[best][field] != value}
    return models.build(
        "slowfast", variant=best, num_classes=evidence.num_classes(source, names.head), **other
    )


def depths(source: Source, names: Names) -> tuple[int, ...]:
    """Blocks in each stage of the first pathway."""
    return _depths(source, names, 0)


def extents(source: Source, names: Names, stage: int, *, pathway: int = 0) -> list[int]:
    """Frames that the first kernel of each block of a stage covers; 0 where it is absent."""
    conv = names.convolutions[0][0]
    blocks = range(_depths(source, names, pathway)[stage - 1])
    return [extent(source, f"{names.prefix(stage, pathway, block)}.{conv}") for block in blocks]


def extent(source: Source, conv: str) -> int:
    """Frames that a kernel covers; 0 where it is absent or of another rank."""
    shape = np.shape(source.get(f"{conv}.weight", ()))
    return shape[2] if len(shape) == 5 else 0


def _row(row) -> dict:
    """A variant's fields, those that it leaves to the defaults included."""
    fields = models.fields("slowfast")
    return {field: row.get(field, info.default) for field, info in fields.items()}


def _depths(source, names, pathway) -> tuple[int, ...]:
    return evidence.depths(source, [names.prefix(stage, pathway, "{}") + "." for stage in STAGES])


def _temporal(source, names, pathway, depths) -> tuple[int, ...]:
    """Blocks of each stage, from its first, whose first kernel covers several frames."""
    counts = []
    for stage, depth in zip(STAGES, depths, strict=True):
        found = extents(source, names, stage, pathway=pathway)
        last = max((i for i, frames in enumerate(found, start=1) if frames > 1), default=0)
        # kernels behind the last one that are absent are taken to be like it, so that only their absence is told
        counts.append(depth if last and not any(found[last:]) else last)
    return tuple(counts)


def _conv_norm(conv, norm, *ours) -> list[leaves.Entry]:
    """The entries of one convolution and its normalisation in a backbone."""
    return [
        *leaves.conv(conv, "backbone", *ours, "conv"),
        *leaves.norm(norm, "backbone", *ours, "norm"),
    ]
