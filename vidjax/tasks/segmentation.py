"""Segmentation: which one of K classes is each pixel of each frame?

A label is uint8 [T, size, size], the class of each pixel of the crop; 255 for pixels that are
ignored. Maps are summed as the network goes over a split and not kept: the rows of an evaluation
hold two scores a clip.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import DataError
from vidjax.learn import losses
from vidjax.learn.augment import Moves, affine_of_classes
from vidjax.learn.metrics import Metric, Result
from vidjax.tasks import PERCENT, Answers, ClipSize, Scalar, Task, json_number, positions_of_largest
from vidjax.tasks._overlay import overlay, palette

LOSSES = ("cross_entropy_of_places",)
OPTIONS = {}
IGNORED = 255


def build(
    classes: tuple[str, ...], loss: Callable[[jax.Array, jax.Array], jax.Array], clip: ClipSize
) -> Task:
    """The task over these classes; logits are [N, T, H, W, K] and labels uint8 [N, T, H, W]."""
    return Task(
        name="segmentation",
        classes=classes,
        answers="places",
        num_logits=len(classes),
        label=jax.ShapeDtypeStruct((clip.num_frames, clip.size, clip.size), jnp.uint8),
        encode=make_encode(len(classes), clip),
        loss=loss,
        scores=jax.nn.softmax,
        rows=rows,
        metrics={"miou": VoxelScores()},
        train_metrics=("miou",),
        shown=(
            Scalar("miou", "mean IoU", PERCENT),
            Scalar("voxel_accuracy", "voxels", PERCENT),
        ),
        best="miou",
        curves=("miou",),
        flip_label=flip_label,
        worst=worst,
        sections=make_sections(classes),
        paint=make_paint(len(classes)),
        move_label=move_label,
    )


def make_encode(num_classes: int, clip: ClipSize) -> Callable[..., np.ndarray]:
    """Builds encode(record, positions, box, size, masks) -> uint8 [T, size, size].

    Without positions, and for a clip of a split without labels, all is ignored. Raises DataError
    for a record without masks, and for a mask with a value that is no class.
    """

    def encode(record, positions=None, box=None, size=None, masks=None):
        is_labelled = record.label != ""
        if is_labelled and record.masks is None:
            raise DataError(
                f"Clip {record.id} has no masks, which the task segmentation needs.\n"
                "For the built-in set: --config.data.gestures.labels=masks; for a manifest: "
                "--config.data.manifest.labels=masks."
            )
        if positions is None or not is_labelled:
            return np.full((clip.num_frames, clip.size, clip.size), IGNORED, np.uint8)
        label = masks()
        unknown = (label >= num_classes) & (label != IGNORED)
        if unknown.any():
            raise DataError(
                f"A mask of clip {record.id} has the value {int(label[unknown][0])}; there are "
                f"{num_classes} classes, numbered from 0, and {IGNORED} for ignored pixels."
            )
        return label

    return encode


def flip_label(label: jax.Array, flipped: jax.Array, mirror: np.ndarray) -> jax.Array:
    """What mirrored clips show: label uint8 [N, T, H, W]; `move_label` says where."""
    classes = np.concatenate([mirror, np.arange(len(mirror), 256)]).astype(np.uint8)
    return jnp.where(flipped[:, None, None, None], jnp.asarray(classes)[label], label)


def move_label(label: jax.Array, moves: Moves) -> jax.Array:
    """Moves each class map with its picture: uint8 [N, T, H, W]."""
    flipped = moves.flipped[:, None, None, None]
    label = jnp.where(flipped, label[..., ::-1], label)
    return affine_of_classes(label, degrees=moves.degrees, shift=moves.shift, scale=moves.scale)


def rows(scores: jax.Array, label: jax.Array) -> dict[str, jax.Array]:
    """The mean IoU and the accuracy of each clip: "miou" and "accuracy", float32 [N].

    NaN for a clip whose every voxel is ignored.
    """
    valid = losses.is_valid(label, scores)
    answer = scores.argmax(-1)
    ious = []
    occurs = []
    for index in range(scores.shape[-1]):
        of_answer, of_label = (answer == index) & valid, (label == index) & valid
        union = (of_answer | of_label).sum((1, 2, 3))  # [N]
        ious.append((of_answer & of_label).sum((1, 2, 3)) / jnp.maximum(union, 1))
        occurs.append(union > 0)
    ious, occurs = jnp.stack(ious, -1), jnp.stack(occurs, -1)  # [N, K]
    miou = jnp.where(occurs, ious, 0).sum(-1) / occurs.sum(-1)
    right = ((answer == label) & valid).sum((1, 2, 3))
    return {"miou": miou, "accuracy": right / valid.sum((1, 2, 3))}


class VoxelScores(Metric):
    """`miou`, the mean over classes of intersection over union, and the accuracy of voxels.

    Both are of all voxels of a split at once, so a class that is rare in a clip counts by its
    voxels. Classes that neither occur nor are answered are left out of the mean.
    """

    def measure(self, logits, label, mask):
        num_classes = logits.shape[-1]
        label = losses.hard_label(label, logits)
        counted = losses.is_valid(label, logits) & (mask > 0)[:, None, None, None]
        answer = logits.argmax(-1).astype(jnp.int32)
        pair = jnp.where(counted, label.astype(jnp.int32), 0) * num_classes + answer
        # Whole numbers within a batch: float32 would stop counting at 16,777,216. Sums of batches
        # are float32, which rounds them to seven digits.
        counts = jnp.zeros(num_classes**2, jnp.int32)
        counts = counts.at[pair.reshape(-1)].add(counted.reshape(-1).astype(jnp.int32))
        return counts.reshape(num_classes, num_classes).astype(jnp.float32)  # row = true class

    def finish(self, sums, rows):
        counts = np.asarray(sums, np.float64)
        right = np.diag(counts)
        union = counts.sum(0) + counts.sum(1) - right
        occurs = union > 0
        ious = np.full(len(counts), np.nan)
        ious[occurs] = right[occurs] / union[occurs]
        miou = float(np.nanmean(ious)) if occurs.any() else float("nan")
        total = counts.sum()
        accuracy = float(right.sum() / total) if total else float("nan")
        return Result({"miou": miou, "voxel_accuracy": accuracy}, {"iou": ious, "voxels": counts})


def worst(answers: Answers, limit: int) -> list[int]:
    """The clips with the lowest mean IoU."""
    return positions_of_largest(-answers.rows["miou"], min(limit, len(answers.ids)))


def make_paint(num_classes: int) -> Callable[..., np.ndarray]:
    """Builds paint(video, label, scores) -> the video with the truth above the answer."""
    colours = palette(num_classes)

    def paint(video, label, scores):
        truth = overlay(video, label, colours)
        answer = overlay(video, scores.argmax(-1), colours)
        return np.concatenate([truth, answer], axis=1)  # [T, 2 * H, W, 3]

    return paint


def make_sections(classes: tuple[str, ...]) -> Callable:
    """Builds the sections of the report: overlays of the worst clips, a table of classes."""

    def sections(answers: Answers, strips: Mapping[int, str]) -> list[dict[str, Any]]:
        clips = []
        for position, path in strips.items():
            score = json_number(answers.rows["miou"][position])
            clips.append({"id": answers.ids[position], "strip": path, "score": score})
        ious, voxels = answers.tables["iou"], answers.tables["voxels"]
        rows = []
        for index, name in enumerate(classes):
            iou = None if np.isnan(ious[index]) else float(ious[index])
            rows.append([name, int(voxels[index].sum()), iou])
        columns = [
            {"title": "class", "unit": ""},
            {"title": "voxels", "unit": ""},
            {"title": "IoU", "unit": PERCENT},
        ]
        return [
            {
                "kind": "overlay",
                "title": "Worst clips",
                "note": "The truth above, the answer below.",
                "score": "mean IoU",
                "clips": clips,
            },
            {"kind": "table", "title": "Classes", "columns": columns, "rows": rows},
        ]

    return sections
