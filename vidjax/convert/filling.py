"""Our variables filled from the arrays of another code base: everything used, everything filled."""

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax import models
from vidjax.convert.tables import Layout, Path, Table, value_by_end
from vidjax.core.errors import ConvertError

Shape = tuple[int, ...]

# PyTorch's normalisations count the steps of training. No network computes with the count.
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Origin:
    """Where the values of one variable come from: an array of the source, or one number."""

    name: str = ""  # of the array
    layout: Layout = lambda array: array
    constant: float | None = None


def shapes(module: nn.Module, clip: Shape) -> dict[Path, Shape]:
    """The paths and shapes of a network's variables; nothing is computed.

    `clip` is a shape [N, T, H, W, C] that the network takes. A backbone that states its
    `in_channels` is given as many, and one that reads optical flow is given it as well.
    """
    channels = getattr(module.backbone, "in_channels", clip[-1])
    video = jax.ShapeDtypeStruct((*clip[:-1], channels), jnp.float32)
    given = models.input_shapes(module, video)
    tree = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), given)
    flat = flax.traverse_util.flatten_dict(tree)
    return {path: leaf.shape for path, leaf in flat.items()}


def origins(table: Table, expected: Mapping[Path, Shape]) -> dict[Path, Origin]:
    """Where each of our variables comes from; those that the table has no name for are left out."""
    result = {}
    for path, shape in expected.items():
        ours = "/".join(path)
        # Constants come first: a framework may have a name for what this code base does without.
        constant = value_by_end(table.constants, ours)
        name = table.their_name(path)
        if constant is not None:
            result[path] = Origin(constant=constant)
        elif name is not None:
            result[path] = Origin(name, table.layout_of(ours, len(shape)))
    return result


def fill(
    source: Mapping[str, np.ndarray],
    expected: Mapping[Path, Shape],
    origin_of: Mapping[Path, Origin],
    *,
    dropped: Collection[str] = (),
) -> dict[str, Any]:
    """Our variables, float32, of arrays in a source.

    Args:
        source: their names -> arrays.
        expected: the path and shape of every variable that the network has.
        origin_of: where each variable comes from, by its path.
        dropped: names that may be left over.

    Raises ConvertError, which lists everything that is missing, left over or of another shape.
    """
    filled = {}
    faults = []
    unused = set(source) - set(dropped)
    for path, shape in expected.items():
        ours = "/".join(path)
        origin = origin_of.get(path)
        if origin is None:
            faults.append(f"{ours} is not filled")
        elif origin.constant is not None:
            filled[path] = np.full(shape, origin.constant, np.float32)
        elif origin.name not in source:
            faults.append(f"{origin.name} is missing, for {ours}")
        else:
            unused.discard(origin.name)
            array = origin.layout(np.asarray(source[origin.name]))
            # Go on after a fault: all faults together show what kind of file it is.
            if array.shape != shape:
                faults.append(
                    f"{origin.name} is {array.shape} in our layout, the model has {shape}"
                )
            filled[path] = np.ascontiguousarray(array, np.float32)
    for name in sorted(unused):
        if not name.endswith(COUNTER):
            faults.append(f"{name} is left over")
    if faults:
        listing = "\n  ".join(faults)
        raise ConvertError(
            f"these weights do not fit the model:\n  {listing}", faults=tuple(faults)
        )
    return flax.traverse_util.unflatten_dict(filled)
