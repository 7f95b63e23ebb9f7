"""Labels of boxes: encoded on the host, drawn into a map, mirrored and moved with their frames.

A label is float32 [B, T, 5] for at most B objects: class, top, left, bottom, right in pixels of the
crop. The class is NO_BOX where an object has no box in a frame. So it is, too, where fewer than
`tubes.MIN_PIXELS` pixels of the video are in its box, because no answer has so small a box.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import DataError
from vidjax.core.names import did_you_mean
from vidjax.learn import tubes
from vidjax.learn.augment import Moves, affine_of_points
from vidjax.tasks import ClipSize

NO_BOX = -1.0  # the class of an object in frames without a box


def make_encode(classes: tuple[str, ...], clip: ClipSize, max_boxes: int) -> Callable:
    """Builds encode(record, positions, box, size, masks) -> float32 [B, T, 5].

    A clip of a split without labels has no box. Raises DataError for a record of which nobody knows
    boxes, for an object of no class, and for more objects than a label has room for.
    """
    index_of = {name: index for index, name in enumerate(classes)}

    def encode(record, positions=None, box=None, size=None, masks=None):
        # A clip that shows no object has boxes, too: an empty list of them.
        if record.boxes is None and record.label != "":
            raise DataError(
                f"Clip {record.id} has no boxes, which the task detection needs.\n"
                "For the built-in set: --config.data.gestures.labels=boxes; for a manifest: "
                "--config.data.manifest.labels=boxes."
            )
        tracks = record.boxes or ()
        if len(tracks) > max_boxes:
            raise DataError(
                f"Clip {record.id} has boxes of {len(tracks)} objects, more than {max_boxes}. Make "
                f"room for them: --config.task.max_boxes={len(tracks)}."
            )
        label = np.zeros((max_boxes, clip.num_frames, 5), np.float32)
        label[..., 0] = NO_BOX
        for row, track in enumerate(tracks):
            if track.label not in index_of:
                raise DataError(
                    f"Clip {record.id} has a box of {track.label!r}, which is not among the "
                    f"{len(classes)} classes.{did_you_mean(str(track.label), classes)}"
                )
            if positions is not None:
                index = index_of[track.label]
                label[row] = _in_crop(track, positions, crop=box, size=size, index=index)
        return label

    return encode


def _in_crop(
    track: Any, positions: np.ndarray, *, crop: tuple, size: int, index: int
) -> np.ndarray:
    """An object of the class `index` in the pixels of the crop: float32 [T, 5]."""
    rows = np.zeros((len(positions), 5), np.float32)
    rows[:, 0] = NO_BOX
    box_of_frame = dict(zip(np.asarray(track.frames).tolist(), track.boxes, strict=True))
    top, left, height, width = crop
    offset = np.array([top, left, top, left])
    scale = np.array([size / height, size / width] * 2)
    for t, position in enumerate(np.asarray(positions).tolist()):
        if position in box_of_frame:
            corners = np.clip((np.asarray(box_of_frame[position]) - offset) * scale, 0, size)
            corners = corners.astype(np.float32)
            if tubes.num_pixels(corners) >= tubes.MIN_PIXELS:  # else no answer could find it
                rows[t] = (index, *corners)
    return rows


def rasterised(label: jax.Array, size: int) -> jax.Array:
    """Boxes [N, B, T, 5] as a map of classes, int32 [N, T, size, size]; 0 is the background."""
    middle = jnp.arange(size) + 0.5
    index, top, left, bottom, right = jnp.moveaxis(label, -1, 0)  # [N, B, T] each
    area = jnp.where(index >= 0, (bottom - top) * (right - left), jnp.inf)
    # From the largest to the smallest, so that what lies within a large box is not covered.
    order = jnp.argsort(-area, axis=1)  # [N, B, T]
    sorted_label = jnp.take_along_axis(label, order[..., None], axis=1)  # [N, B, T, 5]
    result = jnp.zeros((label.shape[0], label.shape[2], size, size), jnp.int32)
    for place in range(label.shape[1]):
        of_place = jnp.moveaxis(sorted_label[:, place], -1, 0)  # [5, N, T]
        index, top, left, bottom, right = of_place[..., None]  # [N, T, 1] each
        rows = (middle >= top) & (middle < bottom)  # [N, T, H]
        columns = (middle >= left) & (middle < right)  # [N, T, W]
        inside = rows[..., :, None] & columns[..., None, :] & (index >= 0)[..., None]
        result = jnp.where(inside, index[..., None].astype(jnp.int32) + 1, result)
    return result


def flip_label(label: jax.Array, flipped: jax.Array, mirror: np.ndarray) -> jax.Array:
    """What mirrored clips show: label [N, B, T, 5]; `move_label` says where."""
    index = label[..., 0]
    mirrored = jnp.asarray(mirror, label.dtype)[jnp.clip(index, 0).astype(jnp.int32)]
    changes = flipped[:, None, None] & (index >= 0)
    return label.at[..., 0].set(jnp.where(changes, mirrored, index))


def make_move_label(size: int) -> Callable[[jax.Array, Moves], jax.Array]:
    """Builds move_label(label, moves): the box around where the corners of each box go."""

    def move_label(label, moves):
        index, top, left, bottom, right = jnp.moveaxis(label, -1, 0)  # [N, B, T] each
        x = jnp.stack([left, right, left, right], -1)
        y = jnp.stack([top, top, bottom, bottom], -1)
        corners = affine_of_points(jnp.stack([x, y], -1), moves, size=size)  # [N, B, T, 4, 2]
        left, top = jnp.moveaxis(jnp.clip(corners.min(-2), 0, size), -1, 0)
        right, bottom = jnp.moveaxis(jnp.clip(corners.max(-2), 0, size), -1, 0)
        boxes = jnp.stack([top, left, bottom, right], -1)  # [N, B, T, 4]
        # What was moved out of the picture is no object any more, nor what no answer could find.
        is_seen = (index >= 0) & (tubes.num_pixels(boxes) >= tubes.MIN_PIXELS)
        index = jnp.where(is_seen, index, NO_BOX)
        return jnp.concatenate([index[..., None], boxes], -1)

    return move_label
