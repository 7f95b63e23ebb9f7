"""What the names and shapes of a source tell of the network that it is of: blocks, classes, whether a part is there."""

from collections.abc import Collection, Iterable, Mapping
from itertools import count, takewhile

import numpy as np


def has(source: Collection[str], prefix: str) -> bool:
    """Whether a name starts so."""
    return any(name.startswith(prefix) for name in source)


def depths(source: Collection[str], stages: Iterable[str]) -> tuple[int, ...]:
    """Blocks in each stage: of a prefix such as "layer1.{}." as many in a row, from 0, as names start with."""
    return tuple(
        len(list(takewhile(lambda b, of=stage: has(source, of.format(b)), count())))
        for stage in stages
    )


def num_classes(source: Mapping[str, np.ndarray], layer: str) -> int:
    """The length of the last layer; 1 where it is absent, which is then listed with all else that is."""
    shapes = [
        np.shape(source[name]) for name in (f"{layer}.weight", f"{layer}.bias") if name in source
    ]
    return max([shape[0] for shape in shapes if shape and shape[0]], default=1)
