"""Weights of one network as the start of another: the same arrays by path, 2D kernels inflated over time, a new head.

Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017, section 2.4, for inflation: a kernel copied to every
frame and divided by their number answers to a video of one repeated frame as the 2D one does to that frame. "centre"
puts the 2D kernel into the middle frame alone, which answers to any video as the 2D network does frame by frame.
"""

from dataclasses import dataclass
from typing import Any

import flax
import numpy as np

from vidjax.core.errors import ConvertError

INFLATIONS = ("copy", "centre")
HEAD = "head"


@dataclass(frozen=True)
class Transfer:
    """Variables for the new network, and what became of them."""

    variables: dict[str, Any]  # float32 arrays of the target's structure
    taken: int  # arrays that are the source's, inflated ones included
    inflated: tuple[str, ...]  # paths of kernels
    replaced: tuple[str, ...]  # paths of the head that are the target's own


def inflate(kernel: np.ndarray, size: int, how: str = "copy") -> np.ndarray:
    """A kernel [1, kh, kw, C, F] -> [size, kh, kw, C, F]. Raises ValueError for a `how` that is not in INFLATIONS."""
    if how == "copy":
        return np.repeat(kernel, size, axis=0) / np.float32(size)
    if how == "centre":
        out = np.zeros((size, *kernel.shape[1:]), kernel.dtype)
        out[size // 2] = kernel[0]
        return out
    raise ValueError(f"no inflation {how!r}; there are {', '.join(INFLATIONS)}")


def transfer(source: dict[str, Any], target: dict[str, Any], *, how: str = "copy") -> Transfer:
    """The variables of `target`, a freshly initialised network, with those of `source` in their place.

    The head alone may differ: where its shapes do (another number of classes) all of it stays the target's. Raises
    ConvertError with every other array that is missing, left over or of another shape.
    """
    ours, theirs = _flat(target), _flat(source)
    head = {key for key in ours if key[1] == HEAD}
    whole = all(key in theirs and theirs[key].shape == ours[key].shape for key in head)
    replaced = () if whole else tuple(sorted("/".join(key) for key in head))
    found, inflated, faults = {}, [], []
    for key, array in ours.items():
        name = "/".join(key)
        if key in head and replaced:
            found[key] = np.asarray(array)
        elif key not in theirs:
            faults.append(f"{name} is missing")
        elif theirs[key].shape == array.shape:
            found[key] = np.asarray(theirs[key], np.float32)
        elif _inflates(theirs[key].shape, array.shape):
            found[key] = inflate(np.asarray(theirs[key], np.float32), array.shape[0], how)
            inflated.append(name)
        else:
            faults.append(f"{name} is {theirs[key].shape} there, the model has {array.shape}")
    faults += [
        f"{'/'.join(key)} is left over" for key in theirs if key not in ours and key[1] != HEAD
    ]
    if faults:
        raise ConvertError("these weights do not fit the model:\n  " + "\n  ".join(faults))
    taken = len(ours) - (len(replaced))
    return Transfer(flax.traverse_util.unflatten_dict(found), taken, tuple(inflated), replaced)


def _flat(variables: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """(collection, module, ..., name) -> array."""
    kept = {collection: tree for collection, tree in variables.items() if tree}
    return flax.traverse_util.flatten_dict(kept)


def _inflates(theirs: tuple[int, ...], ours: tuple[int, ...]) -> bool:
    return len(theirs) == len(ours) == 5 and theirs[0] == 1 < ours[0] and theirs[1:] == ours[1:]
