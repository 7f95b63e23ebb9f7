"""Optical flow of clips, computed once from their frames and kept in the cache.

The method is DIS (Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016) by
OpenCV, which is imported when flow is first asked for. Displacements are in pixels of the source,
clipped at LIMIT either way and stored as uint8, where 128 is no motion: the convention of temporal
segment networks. The fields of a clip are one file, at the size at which its frames are read.
"""

import hashlib
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidjax.core import files
from vidjax.core.errors import DataError, UserError
from vidjax.data.media import Frames
from vidjax.data.records import Record
from vidjax.data.sampling import Box

LIMIT = 20.0  # pixels of the source; what moves farther is clipped
ZERO = 128  # the stored value where nothing moves
STEPS_PER_PIXEL = 127 / LIMIT
VERSION = 1  # part of the names in the cache: raise it whenever a value changes
# what reading a file of NumPy raises where it is missing or damaged
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
INSTALL = (
    "Optical flow is computed by OpenCV, which is not installed: "
    "pip install opencv-python-headless."
)


@dataclass(frozen=True)
class FlowReader:
    """Reads the flow around sampled frames, computing it where the cache has none.

    Args:
        cache_dir: folder of the cache; flow lies in its folder `flow`.
        num_fields: flow fields that belong to each sampled frame, centred on it.
        short_side: pixels of the short side at which fields are kept; smaller frames keep theirs.
    """

    cache_dir: str
    num_fields: int
    short_side: int

    def read(self, record: Record, positions: np.ndarray, *, box: Box, size: int) -> np.ndarray:
        """The flow of a clip: uint8 [T, size, size, 2 * num_fields], x and y of each in turn.

        Args:
            record: the clip.
            positions: the sampled frames, int32 [T].
            box: the crop, (top, left, height, width) in pixels of the source.
            size: side of the crop in the batch.

        Near the ends of a clip the first or the last field is repeated. Raises DataError for frames
        that cannot be read, and UserError where OpenCV is missing.
        """
        cv2 = import_opencv()
        fields, frame_size = self._fields(record)  # [frames - 1, h, w, 2]
        scale = np.array(fields.shape[1:3]) / frame_size
        top, left, height, width = box
        # The crop in pixels of the kept fields.
        y0, x0 = np.rint(np.array([top, left]) * scale).astype(int)
        y1, x1 = np.rint(np.array([top + height, left + width]) * scale).astype(int)
        y1, x1 = max(y1, y0 + 1), max(x1, x0 + 1)
        numbers = field_numbers(positions, len(fields), self.num_fields)  # [T, num_fields]
        resized = {}
        for number in np.unique(numbers).tolist():
            crop = np.ascontiguousarray(fields[number, y0:y1, x0:x1])
            resized[number] = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
        stacks = []
        for row in numbers.tolist():
            stacks.append(np.concatenate([resized[number] for number in row], axis=-1))
        return np.stack(stacks)

    def _fields(self, record: Record) -> tuple[np.ndarray, np.ndarray]:
        """All fields of a clip and the (height, width) of its frames, from the cache if it can."""
        path = self._path(record)
        try:
            with np.load(path) as kept:
                return kept["flow"], kept["size"]
        except UNREADABLE:  # not there, or damaged: made again
            fields, frame_size = compute(record, self.short_side)
        arrays = {"flow": fields, "size": frame_size}
        files.write_atomically(path, lambda file: np.savez_compressed(file, **arrays))
        return fields, frame_size

    def _path(self, record: Record) -> Path:
        """A clip's file in the cache, named by its frames and by how flow is kept."""
        key = f"{VERSION} {self.short_side} {_state_of(record.media)}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:24]
        return Path(self.cache_dir) / "flow" / digest[:2] / f"{digest}.npz"


def _state_of(media: Any) -> list:
    """What changes when a clip is unpacked again: where, which frames, and the state of two files.

    The folder's own time alone would not do, as it stays when files are written over.
    """
    state = [os.path.abspath(media.location), media.num_frames]
    if isinstance(media, Frames):
        for path in (media.folder, media.path(0), media.path(media.num_frames - 1)):
            try:
                status = os.stat(path)
            except OSError:  # reading it will say so
                continue
            state += [path, status.st_size, status.st_mtime_ns]
    return state


def field_numbers(positions: np.ndarray, num_fields: int, count: int) -> np.ndarray:
    """The fields around each sampled frame, int [T, count]; field k leads from frame k to k + 1."""
    offsets = np.arange(count) - count // 2
    return np.clip(np.asarray(positions)[:, None] + offsets, 0, num_fields - 1)


def compute(record: Record, short_side: int) -> tuple[np.ndarray, np.ndarray]:
    """The fields of a clip, uint8 [frames - 1, h, w, 2], and the (height, width) of its frames.

    A clip of a single frame has one field without motion. Raises DataError, UserError.
    """
    cv2 = import_opencv()
    frames = grey_frames(record)
    height, width = frames[0].shape
    shrink = min(1.0, short_side / min(height, width))
    kept_size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    fields = []
    for before, after in zip(frames[:-1], frames[1:], strict=True):
        flow = method.calc(before, after, None)  # float32 [H, W, 2], x and y
        flow = cv2.resize(flow, kept_size, interpolation=cv2.INTER_AREA)
        fields.append(quantised(flow))
    if not fields:
        fields.append(np.full((*kept_size[::-1], 2), ZERO, np.uint8))
    return np.stack(fields), np.array([height, width])


def quantised(flow: np.ndarray) -> np.ndarray:
    """Displacements in pixels as uint8: clipped at LIMIT, with 128 for no motion."""
    return np.rint(np.clip(flow, -LIMIT, LIMIT) * STEPS_PER_PIXEL + ZERO).astype(np.uint8)


def grey_frames(record: Record) -> list[np.ndarray]:
    """All frames of a clip as grey pictures, uint8 [H, W] each. Raises DataError."""
    cv2 = import_opencv()
    media = record.media
    if not isinstance(media, Frames):
        raise DataError(f"Clip {record.id}: flow is computed from folders of frames only.")
    frames = []
    for position in range(media.num_frames):
        path = media.path(position)
        # As stored, like the frames of the video: OpenCV alone would turn them as EXIF says.
        frame = cv2.imread(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        if frame is None:
            raise DataError(f"Clip {record.id}: {path} is no readable image. Restore the file.")
        if frames and frame.shape != frames[0].shape:
            raise DataError(f"Clip {record.id}: {path} has another size than the first frame.")
        frames.append(frame)
    return frames


def import_opencv() -> Any:
    """The module cv2. Raises UserError where it is missing."""
    try:
        import cv2
    except ImportError as error:
        raise UserError(INSTALL) from error
    # The clips of a batch are computed in threads of ours; OpenCV's own would only compete.
    cv2.setNumThreads(1)
    return cv2
