"""Reads arrays that a network made of clips: a row of a shard each (`data.feature_files`).

There is nothing to decode, to sample or to crop. So this reader has `read_array` in place of a part
of the graph, and batches of such records are made in NumPy.
"""

import numpy as np

from vidjax.core.errors import DataError
from vidjax.data import feature_files
from vidjax.data.media import Array


def read_array(media: Array) -> np.ndarray:
    """The array of a clip, float32 [T, H, W, C]. Raises DataError where it cannot be read."""
    array = feature_files.read_row(media.shard, media.row)
    if not np.isfinite(array).all():
        raise DataError(f"Row {media.row} of {media.shard} is not finite. Make the features again.")
    return array.reshape(media.shape)
