"""Weights and clips that anybody can make again, from names and shapes alone.

The files beside this one hold what published networks compute for them. Each array comes from
NumPy's MT19937, whose stream for a seed never changes, seeded by the checksum of its name; its
kind, told from name and rank, sets the scale.
"""

import zlib
from collections.abc import Iterable

import numpy as np


def fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of one entry of a PyTorch state dict, float32 (a count of batches: int64 zero)."""
    kind = name.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    seed = zlib.crc32(name.encode()) & 0x7FFFFFFF  # 31 bits
    noise = np.asarray(np.random.RandomState(seed).standard_normal(shape), np.float32)
    if kind == "running_var":
        values = 1 + 0.2 * np.abs(noise)
    elif kind == "running_mean":
        values = 0.1 * noise
    elif len(shape) > 1:  # a kernel, [out, in, ...]: every output has variance 1
        values = noise * np.sqrt(1 / np.prod(shape[1:], dtype=int))
    elif kind == "weight":  # a normalisation's scale
        values = 1 + 0.1 * noise
    else:  # a bias
        values = 0.1 * noise
    return values.astype(np.float32)


def state_dict(entries: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    """A filled state dict from the names and shapes of a manifest."""
    return {name: fill(name, tuple(shape)) for name, shape in entries}


def clip(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """A standard-normal float32 input."""
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
