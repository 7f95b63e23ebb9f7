"""The labels of a batch: what the task's `encode` makes of each clip, which may look at its masks.

Masks are read only when `encode` asks for them, in threads, since NumPy and Pillow free the lock of
Python while they decompress.
"""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np

from vidjax.core.errors import DataError
from vidjax.data.readers import reader_for
from vidjax.data.readers.masks import read_masks
from vidjax.data.records import Record
from vidjax.data.sampling import Box

# masks() -> uint8 [T, size, size], the class of each pixel of the video. Raises DataError.
ReadMasks = Callable[[], np.ndarray]

# encode(record, positions, box, size, masks) -> the label of one clip as an array. Its shape and
# type are the same for every clip. It is a function of its arguments alone and may be called from
# several threads at a time.
#   record: the clip.
#   positions: the sampled frames, int32 [T].
#   box: the crop, (top, left, height, width) in pixels of the frame. A point (y, x) of the frame is
#       at ((y - top) * size / height, (x - left) * size / width) in the video.
#   size: side of the video in pixels.
#   masks: a function without arguments that reads the masks; None where the record has none.
Encode = Callable[[Record, np.ndarray, Box, int, ReadMasks | None], np.ndarray]


def encode_clips(
    encode: Encode,
    records: Sequence[Record],
    *,
    positions: np.ndarray,
    boxes: np.ndarray,
    size: int,
    pool: Executor,
) -> np.ndarray:
    """The labels of n clips, [n, ...].

    Args:
        encode: the task's.
        records: the clips.
        positions: the frames that were read of each, int32 [n, T].
        boxes: the crop of each, int32 [n, 4].
        size: side of the video in pixels.
        pool: threads that read masks.

    Raises DataError that names the clip and the file where a mask cannot be read.
    """

    def encode_row(row: int) -> np.ndarray:
        record, frames = records[row], positions[row]
        box = tuple(boxes[row].tolist())
        masks = None
        if record.masks is not None:
            masks = functools.partial(_read, record, frames, box=box, size=size)
        return encode(record, frames, box, size, masks)

    apply = map
    if any(record.masks is not None for record in records):
        apply = pool.map
    return np.stack(list(apply(encode_row, range(len(records)))))


def encode_none(encode: Encode, record: Record, *, positions: np.ndarray, size: int) -> np.ndarray:
    """Labels of no clips, [0, ...], with the shape and the type of all others.

    `record` and `positions` are of any clip. Nothing is read: its masks are taken to be empty.
    """
    masks = None
    if record.masks is not None:
        masks = functools.partial(np.zeros, (len(positions), size, size), np.uint8)
    label = encode(record, positions, (0, 0, size, size), size, masks)
    return np.stack([label])[:0]


def _read(record: Record, positions: np.ndarray, *, box: Box, size: int) -> np.ndarray:
    """The masks of a clip; an error names the clip."""
    try:
        source_shape = reader_for([record]).source_shape(record.media)
        return read_masks(record.masks, positions, box=box, size=size, source_shape=source_shape)
    except (DataError, OSError) as error:
        raise DataError(
            f"The masks of clip {record.id} in {record.masks.location} cannot be read: {error}.\n"
            "Restore the file, or take the clip out of its list."
        ) from error
