"""Detection: where in each frame is something of K classes, and how does it go on over time?

A label is float32 [B, T, 5] for at most B objects: class, top, left, bottom, right in pixels of the
crop, with class -1 where an object has no box in a frame (`_boxes.py`). For the loss the boxes are
drawn into a map with the background as class 0, smaller boxes over larger ones. The answers are
tubes, which are read off the map that the network gives (`learn.tubes`); maps are not kept.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.learn import losses, tubes
from vidjax.learn.metrics import Metric, Result, Rows, divide
from vidjax.tasks import PERCENT, Answers, ClipSize, Scalar, Task, json_number, positions_of_largest
from vidjax.tasks._boxes import flip_label, make_encode, make_move_label, rasterised
from vidjax.tasks._overlay import draw_box, palette

LOSSES = ("cross_entropy_of_places",)
OPTIONS = {"max_boxes": 4}  # B: objects of a clip that a label has room for
OVERLAP = 0.5  # intersection over union from which on a box or tube is right
# So many tubes of a clip are kept, those with the highest scores. An untrained network answers
# thousands, and NumPy gives the text of every clip as much memory as the longest: 50 kB for
# 100 tubes of 16 frames. COCO's evaluation keeps as many boxes of a picture.
MAX_TUBES = 100


def build(
    classes: tuple[str, ...],
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    clip: ClipSize,
    *,
    max_boxes: int,
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
        move_label=make_move_label(clip.size),
    )


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
    """Maps become tubes, a text of JSON a clip: what is kept of a batch.

    "tubes" are bytes [N], as NumPy takes four bytes for each letter of a str. Of each clip only the
    MAX_TUBES with the highest scores are in them; the others hardly change the average precision.
    """
    texts = []
    for scores in rows["scores"]:
        found = tubes.from_map(np.asarray(scores, np.float32))
        texts.append(json_of_tubes(tubes.best(found, MAX_TUBES)).encode())
    kept = {key: value for key, value in rows.items() if key != "scores"}
    return {**kept, "tubes": np.array(texts, np.bytes_)}


def json_of_tubes(found: list[tubes.Tube]) -> str:
    """A list of [label, score, frames of the clip, [[frame, top, left, bottom, right], ...]]."""
    entries = []
    for tube in found:
        boxes = []
        for t in np.flatnonzero(~np.isnan(tube.boxes).any(-1)).tolist():
            boxes.append([t, *(round(float(value), 2) for value in tube.boxes[t])])
        entries.append([tube.label, round(tube.score, 6), len(tube.boxes), boxes])
    return json.dumps(entries, separators=(",", ":"))


def tubes_of_json(text: str | bytes) -> list[tubes.Tube]:
    """The inverse of `json_of_tubes`."""
    found = []
    for label, score, num_frames, entries in json.loads(text):
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
            loss = json_number(answers.rows["loss"][position])
            clips.append({"id": answers.ids[position], "strip": path, "score": loss})
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
