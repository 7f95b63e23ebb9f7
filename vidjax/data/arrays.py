"""Batches of records whose media are arrays, in NumPy: there is no frame to choose or to decode.

A batch has the keys of all others (`vidjax.data`), with float32 [N, T, H, W, C] under `video`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vidjax.data.media import Array

Batch = dict[str, np.ndarray]
ReadArray = Callable[[Array], np.ndarray]


def batches(stream: Any, read_array: ReadArray) -> Iterator[Batch]:
    """Yields a batch for each step of a stream of the pipeline, without padding.

    The arrays of a clip are the same in training and in evaluation, whatever the draw.
    """
    for step in stream.steps:
        clips, draws = stream.plan(step)
        yield _batch(stream, read_array, clips=clips, draws=draws)
    for _ in range(stream.num_padding_batches):
        one = np.zeros(1, np.int64)
        batch = _batch(stream, read_array, clips=one, draws=one.astype(np.uint32))
        # Any clip tells shapes and types.
        yield {key: value[:0] for key, value in batch.items()}


def _batch(stream: Any, read_array: ReadArray, *, clips: np.ndarray, draws: np.ndarray) -> Batch:
    """The batch of clips [n], positions in the list of records."""
    arrays, labels = [], []
    for clip in clips.tolist():
        record = stream.records[clip]
        num_frames, height, width, _ = record.media.shape
        positions = np.arange(num_frames, dtype=np.int32)
        labels.append(stream.encode(record, positions, (0, 0, height, width), height, None))
        arrays.append(read_array(record.media))
    return {
        "video": np.stack(arrays),
        "label": np.stack(labels),
        "mask": np.ones(len(clips), np.float32),
        "id": clips.astype(np.int32),
        "draw": draws,
    }
