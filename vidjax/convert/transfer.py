"""Weights of one network as the start of another: arrays by path, inflated kernels, a new head.

A 2D kernel is inflated over time as by Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR
2017, section 2.4: it is copied to every frame and divided by their number, so that a video of one
repeated frame gets the answer that the 2D kernel gives to the frame. "centre" puts the 2D kernel
into the middle frame alone, which answers to any video as the 2D network does frame by frame.

A first layer of colour becomes one of optical flow as by Wang et al., Temporal Segment Networks,
ECCV 2016, section 3.2 ("cross modality pre-training"): its kernel is averaged over the colours, and
the mean is repeated for every channel of the flow.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import flax
import numpy as np

from vidjax.core.errors import ConvertError

INFLATIONS = ("copy", "centre")
HEAD = "head"  # the module below `params` that may differ
COLOURS = 3
CHANNELS_A_FIELD = 2  # of optical flow: x and y


@dataclass(frozen=True)
class Transfer:
    """Variables for the new network, and what became of them."""

    variables: dict[str, Any]  # float32 arrays of the target's structure
    taken: int  # arrays that are the source's, inflated ones included
    inflated: tuple[str, ...]  # paths of kernels
    averaged: tuple[str, ...]  # paths of kernels whose colours became channels of flow
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


def average_colours(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A kernel of colours [kt, kh, kw, 3, F] -> one of flow [kt, kh, kw, channels, F].

    As in the paper, nothing is divided by the number of channels: the normalisation that follows
    learns the new scale.
    """
    return np.repeat(kernel.mean(axis=-2, keepdims=True), channels, axis=-2)


def transfer(
    source: dict[str, Any],
    target: dict[str, Any],
    *,
    how: str = "copy",
    fresh: Collection[str] = (),
) -> Transfer:
    """The variables of `target`, a freshly initialised network, with those of `source` in place.

    Only the head may differ: where any of its arrays has another shape (another number of
    classes), all of it stays the target's.

    Args:
        source: variables {collection: tree}, at the paths of `target`.
        target: those of the new network.
        how: an entry of INFLATIONS, for kernels that have more frames in `target`.
        fresh: modules of the backbone that stay the target's, since the source does not have them.

    Raises ConvertError, which lists every other array that is missing, left over or of another
    shape.
    """
    target_arrays = _flat(target)
    source_arrays = _flat(source)
    new_head = _differing_head(source_arrays, target_arrays)
    kept = {path for path in target_arrays if path[1] != HEAD and path[2] in fresh} | new_head
    result = {}
    inflated, averaged, faults = [], [], []
    for path, array in target_arrays.items():
        name = "/".join(path)
        given = source_arrays.get(path)
        if path in kept:
            # Before the others: the source may lack these, or have them in another shape.
            result[path] = np.asarray(array)
        elif given is None:
            faults.append(f"{name} is missing")
        else:
            value = np.asarray(given, np.float32)
            if _has_more_frames(array.shape, value.shape):
                value = inflate(value, array.shape[0], how)
                inflated.append(name)
            if _reads_flow(array.shape, value.shape):
                value = average_colours(value, array.shape[-2])
                averaged.append(name)
            if value.shape != array.shape:
                faults.append(f"{name} is {given.shape} there, the model has {array.shape}")
            result[path] = value
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
        taken=len(target_arrays) - len(kept),
        inflated=tuple(inflated),
        averaged=tuple(averaged),
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


def _has_more_frames(shape: tuple[int, ...], source_shape: tuple[int, ...]) -> bool:
    """Whether a kernel [kt, kh, kw, C, F] has several frames where the source's has one."""
    return len(shape) == len(source_shape) == 5 and source_shape[0] == 1 < shape[0]


def _reads_flow(shape: tuple[int, ...], source_shape: tuple[int, ...]) -> bool:
    """Whether a kernel [kt, kh, kw, C, F] has channels of flow where the source's has colours.

    In layers behind the first, kernels of other channels follow other kernels that do not fit.
    """
    if len(shape) != 5 or len(source_shape) != 5:
        return False
    return source_shape[-2] == COLOURS and shape[-2] % CHANNELS_A_FIELD == 0
