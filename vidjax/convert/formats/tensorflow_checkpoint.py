"""TensorFlow checkpoints: `<prefix>.index` and the `<prefix>.data-...` files beside it.

This is the only reader that needs TensorFlow, which is imported when a checkpoint is read.
"""

import math
import os
from pathlib import Path

import numpy as np

from vidjax.core.errors import ConvertError


def read(prefix: str | os.PathLike) -> dict[str, np.ndarray]:
    """The variables of a network by name, without step counters and the state of an optimiser.

    Counters are single numbers. An optimiser's variables are named below that of the network
    (`x/w/Momentum`).

    Raises ConvertError for what is no checkpoint, for a damaged one, and where TensorFlow is not
    installed.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ConvertError(
            f"{prefix} is a TensorFlow checkpoint: reading it needs TensorFlow, not here."
        ) from error
    try:
        reader = tf.train.load_checkpoint(os.fspath(prefix))
        types = reader.get_variable_to_dtype_map()
        shapes = reader.get_variable_to_shape_map()
        names = _names(types, shapes)
        claimed = 0
        for name in names:
            claimed += math.prod(shapes[name]) * types[name].size
        # Before reading, which sets memory aside for all that is claimed.
        available = _num_data_bytes(Path(prefix))
        if claimed > available:
            raise ValueError(
                f"its variables have {claimed:,} bytes, the files beside it {available:,}"
            )
        return {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConvertError(
            f"{prefix} cannot be read as a TensorFlow checkpoint: {reason}"
        ) from error


def _names(types: dict, shapes: dict) -> list[str]:
    """The variables of the network, sorted."""
    names = []
    for name in sorted(shapes):
        is_array = types[name].is_floating and shapes[name]
        is_of_optimiser = name.rpartition("/")[0] in shapes
        if is_array and not is_of_optimiser:
            names.append(name)
    return names


def _num_data_bytes(prefix: Path) -> int:
    """The size of the data files of a checkpoint."""
    total = 0
    for path in prefix.absolute().parent.iterdir():
        if path.name.startswith(f"{prefix.name}.data-"):
            total += path.stat().st_size
    return total
