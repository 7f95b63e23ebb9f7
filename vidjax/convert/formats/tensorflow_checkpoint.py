"""TensorFlow checkpoints -> NumPy arrays by name: `<prefix>.index` and the `<prefix>.data-...` files beside it.

The one file of this room that needs TensorFlow, which is imported when something is read.
"""

import math
import os
from pathlib import Path

import numpy as np

from vidjax.core.errors import ConvertError


def read(prefix: str | os.PathLike) -> dict[str, np.ndarray]:
    """The variables of a network: what counts steps is left out, and what an optimiser kept.

    Those are single numbers, or named below another variable (`x/w/Momentum`). Raises ConvertError for what is no
    checkpoint, or is damaged, or where TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ConvertError(
            f"{prefix} is a TensorFlow checkpoint: reading it needs TensorFlow, not here."
        ) from error
    try:
        reader = tf.train.load_checkpoint(os.fspath(prefix))
        types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
        arrays = [name for name in sorted(shapes) if types[name].is_floating and shapes[name]]
        names = [name for name in arrays if name.rpartition("/")[0] not in shapes]
        claimed, there = (
            sum(math.prod(shapes[name]) * types[name].size for name in names),
            _num_bytes(Path(prefix)),
        )
        if claimed > there:  # before memory is set aside for them
            raise ValueError(f"its variables have {claimed:,} bytes, the files beside it {there:,}")
        return {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise ConvertError(f"{prefix} cannot be read as a TensorFlow checkpoint: {said}") from error


def _num_bytes(prefix: Path) -> int:
    """The size of the data files of a checkpoint."""
    files = prefix.absolute().parent.iterdir()
    return sum(
        path.stat().st_size for path in files if path.name.startswith(f"{prefix.name}.data-")
    )
