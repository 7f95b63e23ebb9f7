"""Detection: where in each frame is something of K classes, and how does it go on over time?

A label is float32 [B, T, 5] for at most B objects: class, top, left, bottom, right in pixels of the
crop, with class -1 where an object has no box in a frame. For the loss the boxes are drawn into a
map with the background as class 0, smaller boxes over larger ones. The answers are tubes, which are
read off the map that the network gives (`learn.tubes`); maps are not kept.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import DataError
from vidjax.core.names import did_you_mean
from vidjax.learn import losses, tubes
from vidjax.learn.augment import Moves, affine_of_points
from vidjax.learn.metrics import Metric, Result, Rows, divide
from vidjax.tasks import PERCENT, Answers, ClipSize, Scalar, Task, positions_of_largest
from vidjax.tasks._overlay import draw_box, palette

LOSSES = ("cross_entropy_of_places",)
OPTIONS = {"max_boxes": 4}  # B: objects of a clip that a label has room for
OVERLAP = 0.5  # intersection over union from which on a box or tube is right
BACKGROUND = 0  # the first class of the map
NO_BOX = -1.0  # the class of an object in frames without a box


def build(
    classes: tuple[str, ...],
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    clip: ClipSize,
    max_boxes: int = 4,
) -> Task:
    """The task over these classes; logits are [N, T, H, W, 1 + K], the background first."""

    def loss_of_boxes(logits, label):
        if not losses.is_soft(label, logits):  # mixed clips have a map of shares
            label = rasterised(label, clip.size)
        return loss(logits, label)

    return Task(
        name="detection",
        classes=classes,
        answers="places",
        num_logits=1 + len(classes),
        label=jax.ShapeDtypeStruct((max_boxes, clip.num_frames, 5), jnp.float32),
        encode=make_encode(classes, clip, max_boxes),
        loss=loss_of_boxes,
        scores=jax.nn.softmax,
        digest=digest,
        metrics={
            "voxel_accuracy": VoxelAccuracy(clip.size),
            "video_map": TubeScores(len(classes)),
        },
        train_metrics=("voxel_accuracy",),
        shown=(
            Scalar("video_map", "video-mAP", PERCENT),
            Scalar("frame_map", "frame-mAP", PERCENT),
            Scalar("voxel_accuracy", "voxels", PERCENT),
        ),
        best="video_map",
        curves=("voxel_accuracy", "video_map"),
        flip_label=flip_label,
        worst=worst,
        sections=make_sections(classes),
        paint=make_paint(len(classes)),
        moves_in_space=True,
        moves_in_time=True,
        move_label=make_move_label(clip.size),
    )


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
            if (corners[2:] - corners[:2]).min() >= 1:  # else the crop has cut it off
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
        low = jnp.clip(corners.min(-2), 0, size)
        high = jnp.clip(corners.max(-2), 0, size)
        # What was moved out of the picture is no object any more.
        is_seen = (index >= 0) & ((high - low).min(-1) >= 1)
        index = jnp.where(is_seen, index, NO_BOX)
        return jnp.stack([index, low[..., 1], low[..., 0], high[..., 1], high[..., 0]], -1)

    return move_label


class VoxelAccuracy(Metric):
    """The share of pixels whose class, or background, is right."""

    def __init__(self, size: int):
        self.size = size

    def measure(self, logits, label, mask):
        if losses.is_soft(label, logits):
            classes = losses.hard_label(label, logits)
        else:
            classes = rasterised(label, self.size)
        right = logits.argmax(-1) == classes
        weights = mask.astype(jnp.float32)
        return (right.mean((1, 2, 3)) * weights).sum(), weights.sum()

    def finish(self, sums, rows):
        return Result({"voxel_accuracy": divide(sums)})


class TubeScores(Metric):
    """`video_map` and `frame_map`: mean average precision of tubes, and of boxes frame by frame."""

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    def measure(self, logits, label, mask):
        return ()  # a ranking of all tubes is no sum: everything comes from the rows

    def finish(self, sums, rows):
        found = [tubes_of_json(text) for text in rows["tubes"]]
        truth = [true_tubes(label) for label in rows["label"]]
        settings = {"num_classes": self.num_classes, "overlap": OVERLAP}
        of_tubes = tubes.video_average_precision(found, truth, **settings)
        of_boxes = tubes.frame_average_precision(found, truth, **settings)
        scalars = {"video_map": _mean(of_tubes), "frame_map": _mean(of_boxes)}
        return Result(scalars, {"video_precision": of_tubes, "frame_precision": of_boxes})


def _mean(values: np.ndarray) -> float:
    """The mean of the classes that occur."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def digest(rows: Rows) -> Rows:
    """Maps become tubes, a text of JSON a clip: what is kept of a batch."""
    texts = []
    for scores in rows["scores"]:
        texts.append(json_of_tubes(tubes.from_map(np.asarray(scores, np.float32))))
    kept = {key: value for key, value in rows.items() if key != "scores"}
    return {**kept, "tubes": np.array(texts, np.str_)}


def json_of_tubes(found: list[tubes.Tube]) -> str:
    """[[label, score, [frame, top, left, bottom, right], ...], ...]."""
    entries = []
    for tube in found:
        boxes = []
        for t in np.flatnonzero(~np.isnan(tube.boxes).any(-1)).tolist():
            boxes.append([t, *(round(float(value), 2) for value in tube.boxes[t])])
        entries.append([tube.label, round(tube.score, 6), len(tube.boxes), boxes])
    return json.dumps(entries)


def tubes_of_json(text: str) -> list[tubes.Tube]:
    """The inverse of `json_of_tubes`."""
    found = []
    for label, score, num_frames, entries in json.loads(str(text)):
        boxes = np.full((num_frames, 4), np.nan, np.float32)
        for t, *box in entries:
            boxes[t] = box
        found.append(tubes.Tube(label, score, boxes))
    return found


def true_tubes(label: np.ndarray) -> list[tubes.Tube]:
    """The tubes of a label float [B, T, 5]."""
    found = []
    for rows in label:
        has_box = rows[:, 0] >= 0
        if has_box.any():
            boxes = np.where(has_box[:, None], rows[:, 1:], np.nan)
            found.append(tubes.Tube(int(rows[has_box][0, 0]), 1.0, boxes))
    return found


def worst(answers: Answers, limit: int) -> list[int]:
    """The clips with the highest loss."""
    return positions_of_largest(answers.rows["loss"], min(limit, len(answers.ids)))


def make_paint(num_classes: int) -> Callable[..., np.ndarray]:
    """Builds paint(video, label, scores) -> the video with boxes: truth above, answer below."""
    colours = palette(1 + num_classes)

    def paint(video, label, scores):
        pictures = []
        for found in (true_tubes(label), tubes.from_map(scores)):
            painted = video.copy()
            for tube in found:
                for t in np.flatnonzero(~np.isnan(tube.boxes).any(-1)):
                    draw_box(painted[t], tube.boxes[t], colours[1 + tube.label])
            pictures.append(painted)
        return np.concatenate(pictures, axis=1)  # [T, 2 * H, W, 3]

    return paint


def make_sections(classes: tuple[str, ...]) -> Callable:
    """Builds the sections of the report: boxes of the worst clips, a table of classes."""

    def sections(answers: Answers, strips: Mapping[int, str]) -> list[dict[str, Any]]:
        clips = []
        for position, path in strips.items():
            loss = float(answers.rows["loss"][position])
            clips.append({"id": answers.ids[position], "strip": path, "score": round(loss, 4)})
        rows = []
        for index, name in enumerate(classes):
            row = [name]
            for table in ("video_precision", "frame_precision"):
                value = answers.tables[table][index]
                row.append(None if np.isnan(value) else float(value))
            rows.append(row)
        columns = [
            {"title": "class", "unit": ""},
            {"title": f"AP of tubes at IoU {OVERLAP}", "unit": PERCENT},
            {"title": "AP of boxes", "unit": PERCENT},
        ]
        return [
            {
                "kind": "overlay",
                "title": "Worst clips",
                "note": "The truth above, the answer below.",
                "score": "loss",
                "clips": clips,
            },
            {"kind": "table", "title": "Classes", "columns": columns, "rows": rows},
        ]

    return sections
