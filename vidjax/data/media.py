"""What a clip is on disk: a frozen dataclass for each kind of media, and for each kind of masks.

The file of `readers/` that is named like the class, in lower case, turns the media into pixels.
Each kind has these members:

    num_frames: int           frames of the source; a position is one of 0 .. num_frames - 1
    frames_per_second: float  rate of the source
    location: str             the file or folder that an error message names

Masks say the class of each pixel of such media. Both kinds are read by `readers/masks.py`, and have
a location as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Frames:
    """A folder that holds one image for each frame.

    Args:
        folder: path of the folder.
        numbers: the numbers of the frames in order, a range where they have no gaps.
        digits: the least number of digits in a file name; zeros fill up shorter numbers.
        suffix: the end of each file name, with its dot.
        frames_per_second: the rate at which the frames were taken.
    """

    folder: str
    numbers: Sequence[int]
    digits: int
    suffix: str
    frames_per_second: float

    @property
    def num_frames(self) -> int:
        """How many frames the folder holds."""
        return len(self.numbers)

    @property
    def location(self) -> str:
        """The folder."""
        return self.folder

    def path(self, position: int) -> str:
        """The file of the frame at a position from 0 to num_frames - 1."""
        return f"{self.folder}/{self.numbers[position]:0{self.digits}d}{self.suffix}"


@dataclass(frozen=True)
class MaskFrames:
    """A folder that holds a mask for each frame of a clip: a PNG file with the frame's number.

    A mask is a palette or a grey image of the frame's size. The value of a pixel is the index of
    its class, and 255 where nobody knows it.

    Args:
        folder: path of the folder.
        numbers: the numbers of the clip's frames in order.
        digits: the least number of digits in a file name; zeros fill up shorter numbers.
    """

    folder: str
    numbers: Sequence[int]
    digits: int

    @property
    def location(self) -> str:
        """The folder."""
        return self.folder

    def path(self, position: int) -> str:
        """The file of the mask of the frame at a position."""
        return f"{self.folder}/{self.numbers[position]:0{self.digits}d}.png"


@dataclass(frozen=True)
class MaskArray:
    """The masks of all frames of a clip in one file of NumPy (.npz).

    The file holds an array `mask`, uint8 [T, H, W], whose values mean what those of MaskFrames do.

    Args:
        path: path of the file.
    """

    path: str

    @property
    def location(self) -> str:
        """The file."""
        return self.path


@dataclass(frozen=True)
class Array:
    """A row of a file of arrays: what a network made of a clip, in place of its frames.

    Args:
        shard: path of the file.
        row: which of its rows.
        shape: [T, H, W, C] of the array.
        frames_per_second: 0, as the frames are gone.
    """

    shard: str
    row: int
    shape: tuple[int, int, int, int]
    frames_per_second: float = 0.0

    @property
    def num_frames(self) -> int:
        """T."""
        return self.shape[0]

    @property
    def location(self) -> str:
        """The file."""
        return self.shard
