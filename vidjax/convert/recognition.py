"""Which network arrays are of, from their paths and shapes: blocks, classes, kernels.

Paths are those of `Table.our_arrays`, such as "backbone/stage1_block2/conv1/conv/kernel". Any
array may be missing from a damaged or incomplete source. The network is then recognised by the
others, and the conversion reports what is missing.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vidjax import models

STAGES = (1, 2, 3, 4)
Arrays = Mapping[str, np.ndarray]


def any_match(names: Iterable[str], pattern: str) -> bool:
    """Whether a name begins with the regular expression."""
    compiled = re.compile(pattern)
    return any(compiled.match(name) for name in names)


def depths(arrays: Arrays, *, pathway: str = "") -> tuple[int, ...]:
    """The number of blocks of each of four stages.

    A stage has as many blocks as follow one another from the first. `pathway` is what the names of
    a second pathway have behind the stage: "_fast".
    """
    blocks = set()
    for path in arrays:
        blocks.add("/".join(path.split("/")[:2]))  # "backbone/stage1_block2"
    counts = []
    for stage in STAGES:
        count = 0
        # Counting stops at a gap: no network of ours has blocks behind one.
        while f"backbone/stage{stage}{pathway}_block{count + 1}" in blocks:
            count += 1
        counts.append(count)
    return tuple(counts)


def num_classes(arrays: Arrays) -> int:
    """The length of the last layer; 1 where it is missing, which the conversion then reports."""
    for path in ("head/logits/kernel", "head/logits/bias"):
        shape = np.shape(arrays.get(path, ()))
        if shape and shape[-1]:
            return shape[-1]
    return 1


def kernel_frames(arrays: Arrays, layer: str) -> int:
    """The number of frames that a layer's kernel covers; 0 where it is missing or no 3D kernel."""
    shape = np.shape(arrays.get(f"{layer}/kernel", ()))  # [kt, kh, kw, C, F]
    return shape[0] if len(shape) == 5 else 0


def variant(family: str, **fields: Any) -> str | None:
    """The first variant of a family whose backbone has these fields; None where there is none."""
    for name in models.family(family).VARIANTS:
        # A network that was built has the fields that the variant leaves to their defaults, too.
        values = models.settings(models.build(family, variant=name, num_classes=1))
        if all(values[field] == value for field, value in fields.items()):
            return name
    return None
