"""Reads and decodes the sampled frames of a clip, and no others: paths and a box -> uint8 [T, size, size, 3].

JPEG frames are decoded around the box only, with the accurate integer transform (no slower than the fast one at these
sizes): before the resize, pixels are bit-equal to those of the whole frame. The resize is bilinear with antialiasing.
Decoding at half size (ratio=2) is left out: it changes pixels, and the frames this is for are small.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# a few kilobytes can claim any size in their header; this is a 64-megapixel photograph
MAX_PIXELS = 64_000_000
# pixels decoded beyond the box: chroma is interpolated between neighbours, and at a crop's border they are missing
MARGIN = 2


def import_tensorflow() -> Any:
    """TensorFlow, imported on first use and kept off the accelerators: they are JAX's."""
    import tensorflow as tf

    try:
        tf.config.set_visible_devices([], "GPU")
    except (
        RuntimeError
    ):  # somebody in this process has used TensorFlow already: too late, and theirs to decide
        pass
    return tf


def decode_clip(
    paths: Any, num_frames: int, choose_box: Callable[[int, int], Any], size: int
) -> Any:
    """Graph: frame files (string [T], JPEG or PNG by suffix) -> uint8 [T, size, size, 3].

    `choose_box(height, width)` gives top, left, height, width (int32 [4]) for the frame's size (int32 scalars).
    Fails as tf.errors where a frame cannot be read or decoded, claims more than MAX_PIXELS, or has another size than
    the first; `explain` then finds the file.
    """
    tf = import_tensorflow()
    raw = [tf.io.read_file(paths[i]) for i in range(num_frames)]
    crops = tf.cond(
        tf.strings.regex_full_match(paths[0], r"(?i).*\.png"),
        lambda: _decode(raw, _png_size, _crop_png, choose_box),
        lambda: _decode(raw, _jpeg_size, _crop_jpeg, choose_box),
    )
    video = tf.image.resize(crops, [size, size], method="bilinear", antialias=True)
    # the weights sum to one up to rounding: 255 may come out as 255.00002
    return tf.ensure_shape(
        tf.cast(tf.clip_by_value(tf.round(video), 0, 255), tf.uint8), [num_frames, size, size, 3]
    )


def _decode(raw: list, size_of: Callable, crop: Callable, choose_box: Callable) -> Any:
    """Frames -> crops uint8 [T, h, w, 3]; sizes are checked in the headers, before any pixel is decoded."""
    tf = import_tensorflow()
    sizes = tf.stack([size_of(image) for image in raw])  # [T, 2]
    checks = [
        tf.debugging.assert_equal(sizes, tf.broadcast_to(sizes[:1], tf.shape(sizes))),
        tf.debugging.assert_less_equal(
            tf.reduce_prod(tf.cast(sizes[0], tf.int64)), tf.constant(MAX_PIXELS, tf.int64)
        ),
    ]
    with tf.control_dependencies(checks):
        box = choose_box(sizes[0, 0], sizes[0, 1])
    top, left, height, width = (box[i] for i in range(4))
    above, before = tf.minimum(top, MARGIN), tf.minimum(left, MARGIN)
    bottom, right = (tf.minimum(box[i] + box[i + 2] + MARGIN, sizes[0, i]) for i in range(2))
    outer = tf.stack([top - above, left - before, bottom - top + above, right - left + before])
    crops = tf.stack([crop(image, outer) for image in raw])  # [T, outer height, outer width, 3]
    return crops[:, above : above + height, before : before + width]


def _jpeg_size(image: Any) -> Any:
    return import_tensorflow().io.extract_jpeg_shape(image)[:2]


def _png_size(image: Any) -> Any:
    # after 8 bytes of signature and 8 of the chunk's length and name: width and height, big-endian
    tf = import_tensorflow()
    return tf.io.decode_raw(tf.strings.substr(image, 16, 8), tf.int32, little_endian=False)[::-1]


def _crop_jpeg(image: Any, box: Any) -> Any:
    return import_tensorflow().io.decode_and_crop_jpeg(
        image, box, channels=3, dct_method="INTEGER_ACCURATE"
    )


def _crop_png(image: Any, box: Any) -> Any:
    top, left, height, width = box[0], box[1], box[2], box[3]
    return import_tensorflow().io.decode_png(image, channels=3)[
        top : top + height, left : left + width
    ]


def explain(paths: Sequence[str]) -> str:
    """The first of a clip's frame files that decode_clip refuses, and why; "" where it refuses none."""
    tf = import_tensorflow()
    first = None
    for path in paths:
        name = os.path.basename(path)
        png = path.lower().endswith(".png")
        try:
            image = tf.io.read_file(path)
            height, width = (int(side) for side in (_png_size if png else _jpeg_size)(image))
            first = first or (height, width)
            if height * width > MAX_PIXELS:
                return f"{name} claims {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} million"
            if (height, width) != first:
                return f"{name} is {width} x {height}, but the clip's first sampled frame is {first[1]} x {first[0]}"
            (_crop_png if png else _crop_jpeg)(image, np.array([0, 0, height, width], np.int32))
        except tf.errors.NotFoundError:
            return f"there is no file {name}"
        except tf.errors.OpError:
            size = os.path.getsize(path) if os.path.isfile(path) else 0
            return f"{name} ({size} bytes) is no readable {'PNG' if png else 'JPEG'} image"
    return ""
