"""Classification: which one of K classes is this clip?

A label is the index of a class, int32; -1 for a clip of a split without labels. The network's
scores are the softmax of its logits.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.core.errors import DataError
from vidjax.core.names import did_you_mean
from vidjax.learn import metrics
from vidjax.tasks import PERCENT, Answers, ClipSize, Scalar, Task, positions_of_largest, strip_entry

LOSSES = ("cross_entropy",)
TOP = 5  # answers that are listed for a clip, and the k of the second accuracy


def build(
    classes: tuple[str, ...], loss: Callable[[jax.Array, jax.Array], jax.Array], clip: ClipSize
) -> Task:
    """The task over these classes, with a loss (logits [N, K], label int32 [N]) -> [N]."""
    return Task(
        name="classification",
        classes=classes,
        answers="clip",
        num_logits=len(classes),
        label=jax.ShapeDtypeStruct((), jnp.int32),
        encode=make_encode(classes),
        loss=loss,
        scores=jax.nn.softmax,
        metrics={
            "top1": metrics.top_k(1),
            "top5": metrics.top_k(TOP),
            "confusion": metrics.Confusion(),
        },
        train_metrics=("top1",),
        shown=(
            Scalar("top1", "top-1", PERCENT, of_clips=True, chance=1 / len(classes)),
            Scalar("top5", "top-5", PERCENT, of_clips=True),
            Scalar("mean_class", "mean of classes", PERCENT),
        ),
        best="top1",
        curves=("top1",),
        flip_label=flip_label,
        worst=worst,
        sections=make_sections(classes),
    )


def make_encode(classes: tuple[str, ...]) -> Callable[..., np.ndarray]:
    """Builds encode(record, ...) -> int32 scalar, by name. Raises DataError for an unknown name."""
    index_of = {name: index for index, name in enumerate(classes)}

    def encode(record, positions=None, box=None, size=None, masks=None):
        if record.label == "":
            return np.int32(-1)
        if record.label not in index_of:
            raise DataError(
                f"Clip {record.id} has label {record.label!r}, which is not among the "
                f"{len(classes)} classes.{did_you_mean(str(record.label), classes)}"
            )
        return np.int32(index_of[record.label])

    return encode


def flip_label(label: jax.Array, flipped: jax.Array, mirror: np.ndarray) -> jax.Array:
    """The label of a mirrored clip: label int32 [N], flipped bool [N], mirror int32 [K]."""
    # What is no class stays none; an index out of range would pick a wrong one.
    is_class = (label >= 0) & (label < len(mirror))
    return jnp.where(flipped & is_class, jnp.asarray(mirror)[label], label)


def worst(answers: Answers, limit: int) -> list[int]:
    """The wrong clips with the highest loss; if none is wrong, the clip with the highest loss."""
    order = positions_of_largest(answers.rows["loss"], len(answers.ids))
    wrong = is_wrong(answers)
    return [position for position in order if wrong[position]][:limit] or order[:1]


def is_wrong(answers: Answers) -> np.ndarray:
    """Whether each clip has a label and its most probable class is another one: bool [n]."""
    labels = answers.rows["label"]
    predicted = best_classes(answers.rows["scores"], 1)[:, 0]
    return (predicted != labels) & (labels >= 0)


def best_classes(scores: np.ndarray, count: int) -> np.ndarray:
    """The most probable classes, in falling order; the lower index first in a tie: [n, count]."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def make_sections(classes: tuple[str, ...]) -> Callable:
    """Builds the sections of the report: confusion matrix, worst mistakes, table of classes."""

    def sections(answers: Answers, strips: Mapping[int, str]) -> list[dict[str, Any]]:
        counts = answers.tables["confusion"]
        return [
            {"kind": "confusion", "title": "Confusion matrix", "counts": counts.tolist()},
            mistakes_section(classes, answers, strips),
            classes_section(classes, counts),
        ]

    return sections


def mistakes_section(
    classes: tuple[str, ...], answers: Answers, strips: Mapping[int, str]
) -> dict[str, Any]:
    """The clips that have a picture, each with its truth and its most probable classes."""
    scores, labels = answers.rows["scores"], answers.rows["label"]
    best = best_classes(scores, TOP)
    clips = []
    for position, path in strips.items():
        label = labels[position]
        entry = strip_entry(
            answers,
            position,
            strip=path,
            classes=classes,
            best=best[position],
            truth=classes[label] if label >= 0 else "",
            correct=best[position, 0] == label,
        )
        clips.append(entry)
    num_wrong = int(is_wrong(answers).sum())
    note = f"{len(clips)} of {num_wrong:,} wrong clips, the highest loss first."
    if num_wrong == 0:
        note = "Every clip was recognised; this is the one with the highest loss."
    return {"kind": "strips", "title": "Worst mistakes", "note": note, "clips": clips}


def classes_section(classes: tuple[str, ...], counts: np.ndarray) -> dict[str, Any]:
    """A row for each class, worst accuracy first, classes without clips last."""
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    rows = []
    for index, name in enumerate(classes):
        total, right = int(counts[index].sum()), int(counts[index, index])
        rival = int(errors[index].argmax())
        taken_for = ""
        if errors[index, rival]:
            taken_for = f"{classes[rival]} ({errors[index, rival]:,})"
        # JSON has no NaN: a class without clips has no accuracy
        accuracy = right / total if total else None
        rows.append([name, total, right, accuracy, taken_for])
    rows.sort(key=lambda row: (row[1] == 0, row[3] or 0.0, -row[1]))
    columns = [
        {"title": "class", "unit": ""},
        {"title": "clips", "unit": ""},
        {"title": "correct", "unit": ""},
        {"title": "accuracy", "unit": PERCENT},
        {"title": "most often taken for", "unit": ""},
    ]
    return {"kind": "table", "title": "Classes, worst first", "columns": columns, "rows": rows}
