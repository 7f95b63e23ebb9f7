"""Weights of one network as the start of another: arrays by path, inflated kernels, a new head.

A 2D kernel is inflated over time as by Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR
2017, section 2.4: it is copied to every frame and divided by their number, so that a video of one
repeated frame gets the answer that the 2D kernel gives to the frame. "centre" puts the 2D kernel
into the middle frame alone, which answers to any video as the 2D network does frame by frame.
"""

from dataclasses import dataclass
from typing import Any

import flax
import numpy as np

from vidjax.core.errors import ConvertError

INFLATIONS = ("copy", "centre")
HEAD = "head"  # the module below `params` that may differ


@dataclass(frozen=True)
class Transfer:
    """Variables for the new network, and what became of them."""

    variables: dict[str, Any]  # float32 arrays of the target's structure
    taken: int  # arrays that are the source's, inflated ones included
    inflated: tuple[str, ...]  # paths of kernels
    replaced: tuple[str, ...]  # paths of the head's arrays that are the target's


def inflate(kernel: np.ndarray, size: int, how: str = "copy") -> np.ndarray:
    """A kernel [1, kh, kw, C, F] -> [size, kh, kw, C, F].

    Raises ValueError for a `how` that is not in INFLATIONS.
    """
    if how == "copy":
        return np.repeat(kernel, size, axis=0) / np.float32(size)
    if how == "centre":
        # With an even size the middle is the later of two frames.
        inflated = np.zeros((size, *kernel.shape[1:]), kernel.dtype)
        inflated[size // 2] = kernel[0]
        return inflated
    raise ValueError(f"no inflation {how!r}; there are {', '.join(INFLATIONS)}")


def transfer(source: dict[str, Any], target: dict[str, Any], *, how: str = "copy") -> Transfer:
    """The variables of `target`, a freshly initialised network, with those of `source` in place.

    Only the head may differ: where any of its arrays has another shape (another number of
    classes), all of it stays the target's. Raises ConvertError, which lists every other array that
    is missing, left over or of another shape.
    """
    target_arrays = _flat(target)
    source_arrays = _flat(source)
    new_head = _differing_head(source_arrays, target_arrays)
    result = {}
    inflated = []
    faults = []
    for path, array in target_arrays.items():
        name = "/".join(path)
        given = source_arrays.get(path)
        if path in new_head:
            # Before the others: the source may lack these, or have them in another shape.
            result[path] = np.asarray(array)
        elif given is None:
            faults.append(f"{name} is missing")
        elif given.shape == array.shape:
            result[path] = np.asarray(given, np.float32)
        elif _can_inflate(given.shape, array.shape):
            result[path] = inflate(np.asarray(given, np.float32), array.shape[0], how)
            inflated.append(name)
        else:
            faults.append(f"{name} is {given.shape} there, the model has {array.shape}")
    for path in source_arrays:
        # A larger head of the source, such as one of several layers, is no fault.
        if path not in target_arrays and not _is_head(path):
            faults.append(f"{'/'.join(path)} is left over")
    if faults:
        listing = "\n  ".join(faults)
        raise ConvertError(
            f"these weights do not fit the model:\n  {listing}", faults=tuple(faults)
        )
    return Transfer(
        variables=flax.traverse_util.unflatten_dict(result),
        taken=len(target_arrays) - len(new_head),
        inflated=tuple(inflated),
        replaced=tuple(sorted("/".join(path) for path in new_head)),
    )


def _differing_head(source_arrays: dict, target_arrays: dict) -> set[tuple[str, ...]]:
    """The paths of the target's head, if the source's cannot take its place; none otherwise."""
    head = {path for path in target_arrays if _is_head(path)}
    for path in head:
        given = source_arrays.get(path)
        if given is None or given.shape != target_arrays[path].shape:
            return head
    return set()


def _is_head(path: tuple[str, ...]) -> bool:
    return path[1] == HEAD


def _flat(variables: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """(collection, module, ..., variable) -> array; empty collections are left out."""
    filled = {collection: tree for collection, tree in variables.items() if tree}
    return flax.traverse_util.flatten_dict(filled)


def _can_inflate(source_shape: tuple[int, ...], target_shape: tuple[int, ...]) -> bool:
    """Whether the two are kernels that differ in the frames only, the source's having one."""
    if len(source_shape) != 5 or len(target_shape) != 5:
        return False
    return source_shape[0] == 1 < target_shape[0] and source_shape[1:] == target_shape[1:]
