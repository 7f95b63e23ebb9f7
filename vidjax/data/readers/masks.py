"""Reads masks, the class of each pixel, in NumPy and Pillow: nearest neighbour, never a mixture.

The graph of TensorFlow has no part in it: masks are small, only some tasks want them, and Pillow
gives the indices of a palette where TensorFlow gives its colours.
"""

import os
import zipfile
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

from vidjax.core.errors import DataError
from vidjax.data.media import MaskArray, MaskFrames
from vidjax.data.readers.frames import MAX_PIXELS
from vidjax.data.sampling import Box

ARRAY = "mask"  # the name of the array in a .npz file
BIT_DEPTH, COLOUR_TYPE = 24, 25  # the bytes of a PNG file that say these
# What NumPy and zipfile raise for a file that is no .npz file, or a damaged one.
UNREADABLE = (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
GREY = 0  # the colour type of a grey image


def read_masks(
    masks: MaskFrames | MaskArray,
    positions: np.ndarray,
    *,
    box: Box,
    size: int,
    source_shape: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """The classes of the pixels of a clip's video: uint8 [T, size, size].

    Pixel (y, x) has the class of the pixel of the source in which the centre of (y, x) lies, with
    the crop and the geometry of the video's resize.

    Args:
        masks: where they are.
        positions: of the frames that were read, int32 [T].
        box: the crop, (top, left, height, width) in pixels of the frame.
        size: side of the video in pixels.
        source_shape: number, height and width of the clip's frames, which the masks have to equal;
            None where only the crop has to lie within them.

    Raises DataError with the name of the file and what is wrong with it, as a part of a sentence.
    """
    # A clip that is too short repeats frames: read each of them once.
    frames, rows = np.unique(positions, return_inverse=True)
    if isinstance(masks, MaskArray):
        whole = _read_array(masks.path, frames, source_shape)
    else:
        whole = _read_files(masks, frames)
    name = os.path.basename(masks.location)
    pixels = f"{whole.shape[2]} x {whole.shape[1]} pixels"
    # Larger masks would be cropped as well, but elsewhere than the frames.
    if source_shape is not None and whole.shape[1:] != source_shape[1:]:
        _, height, width = source_shape
        raise DataError(f"{name} has masks of {pixels}, but the frames are {width} x {height}")
    top, left, height, width = box
    if top + height > whole.shape[1] or left + width > whole.shape[2]:
        raise DataError(f"{name} has masks of {pixels}, but the frames are larger")
    y = top + nearest(height, size)
    x = left + nearest(width, size)
    return whole[:, y[:, None], x][rows]  # [frames, H, W] -> [T, size, size]


def masks_shape(masks: MaskFrames | MaskArray) -> tuple[int, int, int]:
    """Number, height and width of a clip's masks, from names of files and one header.

    Raises DataError, as a part of a sentence, where a file is missing or the first is no mask.
    """
    if isinstance(masks, MaskArray):
        return _array_shape(masks.path)
    try:
        names = set(os.listdir(masks.folder))
    except OSError as error:
        raise DataError(f"{masks.folder} cannot be listed: {error.strerror}") from error
    num_frames = len(masks.numbers)
    for position in range(num_frames):
        name = os.path.basename(masks.path(position))
        if name not in names:
            raise DataError(f"there is no file {name} in {masks.folder}")
    path = masks.path(0)
    try:
        with Image.open(path, formats=["PNG"]) as image:  # the header alone
            return num_frames, image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{os.path.basename(path)} is no readable PNG image") from error


def nearest(length: int, size: int) -> np.ndarray:
    """The pixel of `length` in which the centre of each of `size` pixels lies, int64 [size]."""
    # The centre is at (i + 1/2) length / size. Integers do not round it.
    return (2 * np.arange(size) + 1) * length // (2 * size)


def _read_array(
    path: str, frames: np.ndarray, source_shape: tuple[int, int, int] | None
) -> np.ndarray:
    """The masks at positions `frames` from a .npz file, uint8 [n, H, W]. Raises DataError."""
    name = os.path.basename(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array = arrays[ARRAY]
    except FileNotFoundError as error:
        raise DataError(f"there is no file {name}") from error
    except UNREADABLE as error:
        raise DataError(f"{name} is no readable .npz file with an array {ARRAY!r}") from error
    _require_masks(array.shape, array.dtype, name)
    # With another number of masks nobody knows which frame each of them belongs to.
    if source_shape is not None and len(array) != source_shape[0]:
        raise DataError(f"{name} has {len(array)} masks, but the clip has {source_shape[0]} frames")
    if frames[-1] >= len(array):
        raise DataError(f"{name} has {len(array)} masks, but the clip has more frames")
    return array[frames]


def _array_shape(path: str) -> tuple[int, int, int]:
    """The shape of the masks in a .npz file, whose pixels are not read. Raises DataError."""
    name = os.path.basename(path)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{ARRAY}.npy") as file:
            # NumPy writes the second version where a header is longer than 64 KiB: not here.
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {name}") from error
    except UNREADABLE as error:
        raise DataError(f"{name} is no readable .npz file with an array {ARRAY!r}") from error
    _require_masks(shape, dtype, name)
    return shape


def _require_masks(shape: tuple[int, ...], dtype: np.dtype, name: str) -> None:
    """Raises DataError for an array that holds no masks."""
    if dtype != np.uint8 or len(shape) != 3:
        raise DataError(
            f"the array {ARRAY!r} in {name} is {dtype} {list(shape)}; it has to be uint8 [T, H, W]"
        )


def _read_files(masks: MaskFrames, frames: np.ndarray) -> np.ndarray:
    """The masks at positions `frames`, one PNG file each, uint8 [n, H, W]. Raises DataError."""
    images = []
    for position in frames.tolist():
        path = masks.path(position)
        name = os.path.basename(path)
        image = _read_png(path)
        if images and image.shape != images[0].shape:
            height, width = images[0].shape
            raise DataError(
                f"{name} is {image.shape[1]} x {image.shape[0]}, "
                f"but the clip's first mask is {width} x {height}"
            )
        images.append(image)
    return np.stack(images)


def _read_png(path: str) -> np.ndarray:
    """The indices of a palette image, or the values of a grey one, uint8 [H, W]."""
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            content = file.read()
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            # Only the header has been read so far.
            if image.width * image.height > MAX_PIXELS:
                raise DataError(_too_large(name, f"{image.width} x {image.height} pixels"))
            if image.mode not in ("P", "L", "1"):
                raise DataError(
                    f"{name} is an image of the kind {image.mode}; "
                    "a mask is a palette or a grey image of 8 bits"
                )
            # Pillow stretches fewer bits to the range of 8.
            if content[COLOUR_TYPE] == GREY and content[BIT_DEPTH] not in (1, 8):
                raise DataError(
                    f"{name} is a grey image of {content[BIT_DEPTH]} bits; a grey mask has 8"
                )
            return np.asarray(image).astype(np.uint8)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {name}") from error
    except Image.DecompressionBombError as error:
        raise DataError(_too_large(name, "too many pixels")) from error
    except (OSError, ValueError, SyntaxError, EOFError, zlib.error) as error:
        raise DataError(f"{name} is no readable PNG image") from error


def _too_large(name: str, claim: str) -> str:
    return f"{name} claims {claim}, more than {MAX_PIXELS // 1_000_000} million"
