"""Framewise: which one of K classes is each frame?

A label is int32 [T], the class of each sampled frame; -1 for frames that are ignored, which are
those outside of all segments of the record. An evaluation counts the frames of the source: each has
the answer of the sampled frame that is nearest. Segmental scores leave out the classes named by the
option `background`, such as silence.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import DataError, UserError
from vidjax.core.names import did_you_mean, no_such
from vidjax.learn import losses, metrics, segments
from vidjax.learn.metrics import Metric, Result, Rows
from vidjax.tasks import PERCENT, Answers, ClipSize, Scalar, Task, positions_of_largest

LOSSES = ("cross_entropy_of_places",)
OPTIONS = {"background": ""}  # classes that segmental scores leave out, with commas between
OVERLAPS = (10, 25, 50)  # per cent, of segmental F1
IGNORED = -1


def build(
    classes: tuple[str, ...],
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    clip: ClipSize,
    *,
    background: str,
) -> Task:
    """The task over these classes, with a loss (logits [N, T, K], label int32 [N, T]) -> [N].

    Raises UserError for a background that is no class.
    """
    ignored = []
    for name in filter(None, (word.strip() for word in background.split(","))):
        if name not in classes:
            raise UserError(
                f"config.task.background: {no_such('class', name, classes)}\n"
                "--config.data.manifest.labels=segments reads the classes of segments."
            )
        ignored.append(classes.index(name))
    scores = FrameScores(tuple(ignored))
    f1_scores = [Scalar(f"f1_{share}", f"F1@{share}", PERCENT) for share in OVERLAPS]
    return Task(
        name="framewise",
        classes=classes,
        answers="frames",
        num_logits=len(classes),
        label=jax.ShapeDtypeStruct((clip.num_frames,), jnp.int32),
        encode=make_encode(classes, clip.num_frames),
        loss=loss,
        scores=jax.nn.softmax,
        metrics={"frame_accuracy": scores},
        train_metrics=("frame_accuracy",),
        shown=(
            Scalar("frame_accuracy", "frames", PERCENT, chance=1 / len(classes)),
            Scalar("mean_class", "mean of classes", PERCENT),
            *f1_scores,
            Scalar("edit", "edit score", PERCENT),
        ),
        best="frame_accuracy",
        curves=("frame_accuracy",),
        flip_label=flip_label,
        worst=worst,
        sections=make_sections(classes),
        truth=make_truth(classes),
    )


def make_encode(classes: tuple[str, ...], num_frames: int) -> Callable[..., np.ndarray]:
    """Builds encode(record, positions, ...) -> int32 [T].

    Without positions, and for a clip of a split without labels, all frames are ignored. Raises
    DataError for a segment of no class, and for a record without segments.
    """
    index_of = {name: index for index, name in enumerate(classes)}

    def encode(record, positions=None, box=None, size=None, masks=None):
        is_labelled = record.label != ""
        if is_labelled:
            check_segments(record, index_of)
        if positions is None or not is_labelled:
            return np.full(num_frames, IGNORED, np.int32)
        return labels_at(record, positions, index_of)

    return encode


def check_segments(record: Any, index_of: Mapping[str, int]) -> None:
    """Raises DataError for a record without segments or with one of an unknown class."""
    if not record.segments:
        raise DataError(
            f"Clip {record.id} has no segments, which the task framewise needs.\n"
            "For the built-in set: --config.data.gestures.labels=phases; for a manifest: "
            "--config.data.manifest.labels=segments."
        )
    for segment in record.segments:
        if segment.label not in index_of:
            raise DataError(
                f"Clip {record.id} has a segment {segment.label!r}, which is not among the "
                f"{len(index_of)} classes.{did_you_mean(str(segment.label), list(index_of))}"
            )


def labels_at(record: Any, positions: np.ndarray, index_of: Mapping[str, int]) -> np.ndarray:
    """The class of each frame at `positions`, int32 [T]: that of the segment of its middle."""
    times = (np.asarray(positions) + 0.5) / record.media.frames_per_second
    labels = np.full(len(times), IGNORED, np.int32)
    for segment in record.segments:
        inside = (times >= segment.start) & (times < segment.end)
        labels[inside] = index_of[segment.label]
    return labels


def make_truth(classes: tuple[str, ...]) -> Callable[..., Rows]:
    """Builds truth(records, positions) -> the class of every frame of the source.

    "frame_label" is int32 [n, longest], -1 behind the end of a clip; "num_frames" int32 [n], and
    "position" int32 [n, T].
    """
    index_of = {name: index for index, name in enumerate(classes)}

    def truth(records, positions):
        counts = np.array([record.media.num_frames for record in records], np.int32)
        labels = np.full((len(records), counts.max()), IGNORED, np.int32)
        for row, (record, count) in enumerate(zip(records, counts, strict=True)):
            labels[row, :count] = labels_at(record, np.arange(count), index_of)
        return {
            "frame_label": labels,
            "num_frames": counts,
            "position": positions.astype(np.int32),
        }

    return truth


def flip_label(label: jax.Array, flipped: jax.Array, mirror: np.ndarray) -> jax.Array:
    """The labels of mirrored clips: label int32 [N, T], flipped bool [N], mirror int32 [K]."""
    is_class = (label >= 0) & (label < len(mirror))
    return jnp.where(flipped[:, None] & is_class, jnp.asarray(mirror)[label], label)


class FrameScores(Metric):
    """Accuracy of frames, mean recall of classes, segmental F1 and edit score.

    In training it is the accuracy of the sampled frames. An evaluation has the rows of `truth`, and
    counts the frames of the source. `background` are classes that segmental scores leave out.
    """

    def __init__(self, background: tuple[int, ...] = ()):
        self.background = background

    def measure(self, logits, label, mask):
        label = losses.hard_label(label, logits)
        valid = losses.is_valid(label, logits)
        right = (logits.argmax(-1) == label) & valid
        weights = mask.astype(jnp.float32)[:, None]
        return (right * weights).sum(), (valid * weights).sum()

    def finish(self, sums, rows):
        if "frame_label" not in rows:
            return Result({"frame_accuracy": metrics.divide(sums)})
        num_classes = rows["scores"].shape[-1]
        counts = np.zeros((num_classes, num_classes), int)
        predicted, truth = answers_of_source(rows)
        for labels, true_labels in zip(predicted, truth, strict=True):
            valid = true_labels >= 0
            np.add.at(counts, (true_labels[valid], labels[valid]), 1)
        total = counts.sum()
        scalars = {
            "frame_accuracy": float(np.trace(counts) / total) if total else float("nan"),
            "mean_class": metrics.mean_class(counts),
        }
        for share in OVERLAPS:
            scalars[f"f1_{share}"] = segments.f1(
                predicted, truth, overlap=share / 100, ignored=self.background
            )
        edits = []
        for labels, true_labels in zip(predicted, truth, strict=True):
            # A clip whose every frame is ignored would have the best score, for no answer at all.
            if (true_labels >= 0).any():
                edits.append(segments.edit_score(labels, true_labels, self.background))
        scalars["edit"] = float(np.mean(edits)) if edits else float("nan")
        return Result(scalars, {"confusion": counts})


def answers_of_source(rows: Rows) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(predicted, true) classes of the frames of each clip's source: lists of int [frames].

    Padding behind the end of a clip is left out; ignored frames are -1 in the truth.
    """
    predicted, truth = [], []
    for scores, positions, labels, count in zip(
        rows["scores"], rows["position"], rows["frame_label"], rows["num_frames"], strict=True
    ):
        nearest = segments.nearest_samples(positions, count)
        predicted.append(scores.argmax(-1)[nearest])
        truth.append(labels[:count])
    return predicted, truth


def worst(answers: Answers, limit: int) -> list[int]:
    """The clips with the highest loss."""
    return positions_of_largest(answers.rows["loss"], min(limit, len(answers.ids)))


def make_sections(classes: tuple[str, ...]) -> Callable:
    """Builds the sections of the report: time lines of the worst clips, confusion, classes."""

    def sections(answers: Answers, strips: Mapping[int, str]) -> list[dict[str, Any]]:
        predicted, truth = answers_of_source(answers.rows)
        clips = []
        for position, path in strips.items():
            clips.append(
                {
                    "id": answers.ids[position],
                    "strip": path,
                    "truth": as_lists(truth[position]),
                    "answer": as_lists(predicted[position]),
                    "num_frames": len(truth[position]),
                }
            )
        counts = answers.tables["confusion"]
        return [
            {
                "kind": "timeline",
                "title": "Time lines",
                "note": "The clips with the highest loss: the truth above, the answer below.",
                "clips": clips,
            },
            {
                "kind": "confusion",
                "title": "Confusion of frames",
                "what": "frames",
                "counts": counts.tolist(),
            },
            classes_section(classes, counts),
        ]

    return sections


def as_lists(labels: np.ndarray) -> list[list[int]]:
    """The segments of a clip as [start, end, class] in frames, JSON-ready."""
    return [list(segment) for segment in segments.runs(labels)]


def classes_section(classes: tuple[str, ...], counts: np.ndarray) -> dict[str, Any]:
    """A row for each class: frames, recall and precision."""
    rows = []
    for index, name in enumerate(classes):
        total, answered = int(counts[index].sum()), int(counts[:, index].sum())
        right = int(counts[index, index])
        recall = right / total if total else None
        precision = right / answered if answered else None
        rows.append([name, total, recall, precision])
    columns = [
        {"title": "class", "unit": ""},
        {"title": "frames", "unit": ""},
        {"title": "recall", "unit": PERCENT},
        {"title": "precision", "unit": PERCENT},
    ]
    return {"kind": "table", "title": "Classes", "columns": columns, "rows": rows}
