"""PyTorch's layers, entry by entry: how one layer's arrays are named and laid out there and here."""

from collections.abc import Mapping
from typing import Any

import flax
import flax.linen as nn
import jax
import numpy as np

from vidjax.convert.errors import ConvertError

# kind of layer: (their name, our collection, our name, axes of theirs in the order of ours)
LAYERS = {
    "conv": (("weight", "params", "kernel", (2, 3, 4, 1, 0)),),  # [F, C, kt, kh, kw] -> [kt, kh, kw, C, F]
    "linear": (("weight", "params", "kernel", (1, 0)), ("bias", "params", "bias", (0,))),
    "norm": (
        ("weight", "params", "scale", (0,)),
        ("bias", "params", "bias", (0,)),
        ("running_mean", "batch_stats", "mean", (0,)),
        ("running_var", "batch_stats", "var", (0,)),
    ),
}

Layer = tuple[str, str, tuple[str, ...]]  # kind, their prefix, our path of modules


def variables(source: Mapping[str, np.ndarray], layers: list[Layer], module: nn.Module, clip: tuple[int, ...]) -> Any:
    """Our variables of `module` from `source`: every layer's entries, transposed.

    `clip` is a shape [N, T, H, W, C] that the module takes, for its variables' shapes. Raises ConvertError with all
    that is missing, left over or of another shape.
    """
    expected = jax.eval_shape(lambda: module.init(jax.random.key(0), jax.numpy.zeros(clip), train=False))
    expected = flax.traverse_util.flatten_dict(expected)
    left, faults, found = set(source), [], {}
    for kind, prefix, path in layers:
        for theirs, collection, ours, axes in LAYERS[kind]:
            name, key = f"{prefix}.{theirs}", (collection, *path, ours)
            if name not in source:
                faults.append(f"{name} is missing, for {'/'.join(key)}")
                expected.pop(key, None)
                continue
            left.discard(name)
            array = np.asarray(source[name])
            value = array.transpose(axes) if array.ndim == len(axes) else array
            if key not in expected:
                faults.append(f"{name} has no place in the model")
            elif value.shape != expected[key].shape:
                faults.append(f"{name} is {value.shape} in our layout, the model has {expected[key].shape}")
            found[key] = np.ascontiguousarray(value, np.float32)
    faults += [f"{name} is left over" for name in sorted(left) if not name.endswith("num_batches_tracked")]
    faults += [f"{'/'.join(key)} is not filled" for key in expected if key not in found]
    if faults:
        raise ConvertError("these weights do not fit the model:\n  " + "\n  ".join(faults))
    return flax.traverse_util.unflatten_dict(found)
