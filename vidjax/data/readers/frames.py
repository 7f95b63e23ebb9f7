"""Reads clips that are folders of JPEG or PNG files, one for each frame.

Only the sampled frames are read. JPEG frames are decoded around the crop only, with the accurate
integer transform, which takes no longer than the fast one at these sizes: before the resize, pixels
are bit-equal to those of the whole frame. The resize is bilinear with antialiasing. Decoding at
half the size (libjpeg's ratio=2) would be faster, but it changes pixels.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vidjax.data.lazy_tensorflow import import_tensorflow
from vidjax.data.media import Frames

SUFFIXES = (".jpg", ".jpeg", ".png")

# A header of a few kilobytes can claim any size: allow what a 64-megapixel photograph has.
MAX_PIXELS = 64_000_000

# Decode this many pixels beyond the box: chroma is interpolated between neighbours, and at the edge
# of a decoded crop these neighbours are missing.
MARGIN = 2


def request(media: Frames, positions: np.ndarray) -> list[bytes]:
    """The paths of the frames at `positions`, int32 [T], in the encoding of the file system."""
    return [os.fsencode(media.path(position)) for position in positions.tolist()]


def read(
    request: Any, *, num_frames: int, choose_box: Callable[[Any, Any], Any], size: int
) -> tuple[Any, Any]:
    """Graph: frame files become (video uint8 [T, size, size, 3], box int32 [4]).

    Fails as one of tf.errors where a frame cannot be read or decoded, claims more than MAX_PIXELS,
    or is not of the same size as the first.

    Args:
        request: paths, a string tensor [T]. All files of a clip are of one format.
        num_frames: T.
        choose_box: called with height and width of the frames; returns the crop, int32 [4].
        size: side of the video in pixels.
    """
    tf = import_tensorflow()
    files = [tf.io.read_file(request[i]) for i in range(num_frames)]
    # The format is that of the first file, for clips of both formats may come in one list.
    crops, box = tf.cond(
        tf.strings.regex_full_match(request[0], r"(?i).*\.png"),
        lambda: _decode(files, PNG, choose_box),
        lambda: _decode(files, JPEG, choose_box),
    )
    video = tf.image.resize(crops, [size, size], method="bilinear", antialias=True)
    # The weights of the resize sum to 1 only up to rounding: 255 may come out as 255.00002.
    video = tf.cast(tf.clip_by_value(tf.round(video), 0, 255), tf.uint8)
    return tf.ensure_shape(video, [num_frames, size, size, 3]), tf.ensure_shape(box, [4])


def source_shape(media: Frames) -> tuple[int, int, int]:
    """Number, height and width of the frames, the latter two from the header of the first file.

    Raises OSError where that file cannot be read.
    """
    # The size that Pillow reads is that of the pixels as stored, as for TensorFlow: an orientation
    # in EXIF turns neither.
    with Image.open(media.path(0)) as image:
        return media.num_frames, image.height, image.width


def explain(media: Frames, positions: np.ndarray) -> str:
    """Says which is the first of the frames that `read` refuses, and why; "" where none is."""
    tf = import_tensorflow()
    first = None  # height and width of the first frame
    for position in positions.tolist():
        path = media.path(position)
        name = os.path.basename(path)
        image_format = _format_of(path)
        try:
            file = tf.io.read_file(path)
            height, width = image_format.size(file).numpy().tolist()
            if height * width > MAX_PIXELS:
                limit = MAX_PIXELS // 1_000_000
                return f"{name} claims {width} x {height} pixels, more than {limit} million"
            if first is None:
                first = (height, width)
            if (height, width) != first:
                return (
                    f"{name} is {width} x {height}, "
                    f"but the clip's first sampled frame is {first[1]} x {first[0]}"
                )
            image_format.crop(file, np.array([0, 0, height, width], np.int32))
        except tf.errors.NotFoundError:
            return f"there is no file {name}"
        except tf.errors.OpError:
            size = 0
            if os.path.isfile(path):
                size = os.path.getsize(path)
            return f"{name} ({size} bytes) is no readable {image_format.name} image"
    return ""


def _decode(files: list, image_format: "_Format", choose_box: Callable) -> tuple[Any, Any]:
    """Graph: contents of T files become crops uint8 [T, height, width, 3] and the box int32 [4]."""
    tf = import_tensorflow()
    sizes = tf.stack([image_format.size(file) for file in files])  # [T, 2]: height, width
    frame_height, frame_width = tf.unstack(sizes[0])
    num_pixels = tf.cast(frame_height, tf.int64) * tf.cast(frame_width, tf.int64)
    # These checks look at headers only. They have to pass before any pixel is decoded.
    checks = [
        tf.debugging.assert_equal(sizes, tf.broadcast_to(sizes[:1], tf.shape(sizes))),
        tf.debugging.assert_less_equal(num_pixels, tf.constant(MAX_PIXELS, tf.int64)),
    ]
    with tf.control_dependencies(checks):
        box = choose_box(frame_height, frame_width)
    top, left, height, width = tf.unstack(box)

    # Decode the box with its margin, as far as the frame has pixels around it, then cut it out.
    above = tf.minimum(top, MARGIN)
    before = tf.minimum(left, MARGIN)
    bottom = tf.minimum(top + height + MARGIN, frame_height)
    right = tf.minimum(left + width + MARGIN, frame_width)
    outer = tf.stack([top - above, left - before, bottom - top + above, right - left + before])
    crops = tf.stack([image_format.crop(file, outer) for file in files])
    return crops[:, above : above + height, before : before + width], box


@dataclass(frozen=True)
class _Format:
    """A format of images: how messages call it, and two functions for graphs.

    `size(file)` reads height and width from the header, int32 [2]; `crop(file, box)` decodes the
    box, uint8 [height, width, 3]. `file` is the content of a file, a string scalar.
    """

    name: str
    size: Callable[[Any], Any]
    crop: Callable[[Any, Any], Any]


def _jpeg_size(file: Any) -> Any:
    return import_tensorflow().io.extract_jpeg_shape(file)[:2]


def _jpeg_crop(file: Any, box: Any) -> Any:
    tf = import_tensorflow()
    return tf.io.decode_and_crop_jpeg(file, box, channels=3, dct_method="INTEGER_ACCURATE")


def _png_size(file: Any) -> Any:
    tf = import_tensorflow()
    # The signature takes 8 bytes, the length and the name of the first chunk another 8. Width and
    # height follow, big-endian.
    header = tf.strings.substr(file, 16, 8)
    width_and_height = tf.io.decode_raw(header, tf.int32, little_endian=False)
    # In a file that ends within these bytes the shape is another one, which fails here.
    return tf.ensure_shape(width_and_height, [2])[::-1]


def _png_crop(file: Any, box: Any) -> Any:
    tf = import_tensorflow()
    top, left, height, width = tf.unstack(box)
    # TensorFlow cannot decode a part of a PNG file.
    image = tf.io.decode_png(file, channels=3)
    return image[top : top + height, left : left + width]


JPEG = _Format("JPEG", _jpeg_size, _jpeg_crop)
PNG = _Format("PNG", _png_size, _png_crop)


def _format_of(path: str) -> _Format:
    """The format that the suffix of a file says; `read` takes the same rule."""
    if path.lower().endswith(".png"):
        return PNG
    return JPEG
