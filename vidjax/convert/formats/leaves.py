"""One array at a time: how the layers of PyTorch are named and laid out, and ours filled from them.

A peer's table is a list of `Entry`; `conv`, `norm` and `linear` make those of one layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import ConvertError

Shape = tuple[int, ...]
DROPPED = ()  # the place of what our networks have no place for, and a peer's file says so


@dataclass(frozen=True)
class Entry:
    """One array of the source and where it goes."""

    theirs: str  # its name there; "": it is not in the source, `change` makes it from our shape
    ours: tuple[str, ...]  # collection, modules, name
    change: Callable[[Any], np.ndarray]  # from their layout to ours


def conv(theirs: str, *ours: str, bias: bool = False) -> list[Entry]:
    """A convolution: [F, C, kt, kh, kw], or [F, C, kh, kw] of one frame, -> [kt, kh, kw, C, F]."""
    entries = [Entry(f"{theirs}.weight", ("params", *ours, "kernel"), kernel)]
    return entries + ([Entry(f"{theirs}.bias", ("params", *ours, "bias"), same)] if bias else [])


def norm(theirs: str, *ours: str) -> list[Entry]:
    """A batch normalisation: scale, bias and running statistics."""
    return [
        Entry(f"{theirs}.weight", ("params", *ours, "scale"), same),
        Entry(f"{theirs}.bias", ("params", *ours, "bias"), same),
        Entry(f"{theirs}.running_mean", ("batch_stats", *ours, "mean"), same),
        Entry(f"{theirs}.running_var", ("batch_stats", *ours, "var"), same),
    ]


def linear(theirs: str, *ours: str) -> list[Entry]:
    """A linear layer with bias: [F, C], or a 1x1x1 convolution [F, C, 1, 1, 1], -> [C, F]."""
    return [
        Entry(f"{theirs}.weight", ("params", *ours, "kernel"), matrix),
        Entry(f"{theirs}.bias", ("params", *ours, "bias"), same),
    ]


def kernel(array: np.ndarray) -> np.ndarray:
    """[F, C, kt, kh, kw] or [F, C, kh, kw] -> [kt, kh, kw, C, F]; any other rank stays, to be told of."""
    if array.ndim == 4:
        array = array[:, :, None]  # [F, C, 1, kh, kw]
    return array.transpose(2, 3, 4, 1, 0) if array.ndim == 5 else array


def matrix(array: np.ndarray) -> np.ndarray:
    """[F, C] or [F, C, 1, 1, 1] -> [C, F]; anything else stays, to be told of."""
    if array.ndim > 2 and set(array.shape[2:]) == {1}:
        array = array.reshape(array.shape[:2])
    return array.T if array.ndim == 2 else array


def same(array: np.ndarray) -> np.ndarray:
    """The array as it is."""
    return array


def shapes(module: nn.Module, clip: Shape) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
    """Our variables' paths and shapes for a module that takes `clip`; nothing is computed.

    A backbone that states its `in_channels` gets as many.
    """
    clip = (*clip[:-1], getattr(module.backbone, "in_channels", clip[-1]))
    tree = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(clip), train=False))
    return flax.traverse_util.flatten_dict(tree)


def variables(
    source: Mapping[str, np.ndarray], entries: Sequence[Entry], module: nn.Module, clip: Shape
) -> dict[str, Any]:
    """Our variables of `module` from `source`, float32.

    `clip` is a shape [N, T, H, W, C] that the module takes, for its variables' shapes. Raises ConvertError with all
    that is missing, left over or of another shape.
    """
    expected = shapes(module, clip)
    left, faults, found = set(source), [], {}
    for entry in entries:
        ours = "/".join(entry.ours)
        if entry.theirs and entry.theirs not in source:
            faults.append(f"{entry.theirs} is missing, for {ours}")
            expected.pop(entry.ours, None)
            continue
        left.discard(entry.theirs)
        if entry.ours == DROPPED:
            continue
        if entry.ours not in expected:
            faults.append(f"{entry.theirs} has no place in the model")
            continue
        shape = expected[entry.ours].shape
        value = entry.change(np.asarray(source[entry.theirs]) if entry.theirs else shape)
        if value.shape != shape:
            faults.append(f"{entry.theirs} is {value.shape} in our layout, the model has {shape}")
        found[entry.ours] = np.ascontiguousarray(value, np.float32)
    faults += [
        f"{name} is left over" for name in sorted(left) if not name.endswith("num_batches_tracked")
    ]
    faults += [f"{'/'.join(key)} is not filled" for key in expected if key not in found]
    if faults:
        raise ConvertError("these weights do not fit the model:\n  " + "\n  ".join(faults))
    return flax.traverse_util.unflatten_dict(found)
