"""One clip of a data set, as a source lists it, with what is known of its times and places."""

from dataclasses import dataclass

import numpy as np

from vidjax.data.media import Array, Frames, MaskArray, MaskFrames


@dataclass(frozen=True)
class Segment:
    """A part of a clip, and the class that it shows.

    Args:
        start: seconds from the start of the clip.
        end: seconds from the start of the clip; the segment ends before this moment.
        label: a class name.
    """

    start: float
    end: float
    label: str


@dataclass(frozen=True, eq=False)  # arrays have no one answer to whether they are equal
class Track:
    """One object through a clip: where it is in each frame in which somebody has marked it.

    Args:
        label: a class name.
        frames: positions of frames of the source, int32 [n], ascending.
        boxes: float32 [n, 4], (top, left, bottom, right) in pixels of the source's frame; a box
            ends before its bottom and its right.
    """

    label: str
    frames: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class Record:
    """A clip, its label and the place of its pixels. It holds no pixels itself.

    Args:
        id: the name of the clip in the data set.
        label: a class name, or several where a clip has several; "" where the split has no labels.
            Where the classes are those of segments, tracks or masks, it only says that the clip is
            labelled, and need not be one of them.
        media: where the frames are; one of the classes of `data.media`.
        segments: the parts of the clip that have a class, in the order of their starts.
        boxes: where objects are, a track for each object; None where nobody has looked for any.
        masks: where the class of each pixel is; None where nobody knows it.
    """

    id: str
    label: str | tuple[str, ...]
    media: Frames | Array
    segments: tuple[Segment, ...] = ()
    boxes: tuple[Track, ...] | None = None
    masks: MaskFrames | MaskArray | None = None
