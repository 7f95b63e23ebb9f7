"""Multilabel: which of K attributes does this clip have? Any number of them, each asked by itself.

A label is float32 [K], 1 for the attributes that a clip has and 0 for the others; NaN for a clip of
a split without labels. The scores are the sigmoids of the logits.
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

LOSSES = ("binary_cross_entropy",)
THRESHOLD = 0.5  # an attribute is answered with yes above this probability


def build(
    classes: tuple[str, ...], loss: Callable[[jax.Array, jax.Array], jax.Array], clip: ClipSize
) -> Task:
    """The task over these attributes, with a loss (logits [N, K], label [N, K]) -> [N]."""
    return Task(
        name="multilabel",
        classes=classes,
        answers="clip",
        num_logits=len(classes),
        label=jax.ShapeDtypeStruct((len(classes),), jnp.float32),
        encode=make_encode(classes),
        loss=loss,
        scores=jax.nn.sigmoid,
        metrics={
            "subset": metrics.Mean("subset", metrics.all_right),
            "average_precision": metrics.MeanAveragePrecision(),
        },
        train_metrics=("subset",),
        shown=(
            Scalar("map", "mean average precision", PERCENT),
            Scalar("subset", "all attributes right", PERCENT, of_clips=True),
        ),
        best="map",
        curves=("subset", "map"),
        flip_label=flip_label,
        worst=worst,
        sections=make_sections(classes),
    )


def make_encode(classes: tuple[str, ...]) -> Callable[..., np.ndarray]:
    """Builds encode(record, ...) -> float32 [K]. Raises DataError for an unknown attribute."""
    index_of = {name: index for index, name in enumerate(classes)}

    def encode(record, positions=None, box=None, size=None, masks=None):
        if record.label == "":  # of a split without labels
            return np.full(len(classes), np.nan, np.float32)
        label = np.zeros(len(classes), np.float32)
        # a source of single labels has text here, one of several a tuple
        listed = (record.label,) if isinstance(record.label, str) else record.label
        for name in listed:
            if name not in index_of:
                raise DataError(
                    f"Clip {record.id} has the attribute {name!r}, which is not among the "
                    f"{len(classes)}.{did_you_mean(name, classes)}"
                )
            label[index_of[name]] = 1
        return label

    return encode


def flip_label(label: jax.Array, flipped: jax.Array, mirror: np.ndarray) -> jax.Array:
    """The label of a mirrored clip: label float32 [N, K], flipped bool [N], mirror int32 [K]."""
    return jnp.where(flipped[:, None], label[:, jnp.asarray(mirror)], label)


def worst(answers: Answers, limit: int) -> list[int]:
    """The clips with the highest loss."""
    return positions_of_largest(answers.rows["loss"], limit)


def make_sections(classes: tuple[str, ...]) -> Callable:
    """Builds the sections of the report: worst clips, table of attributes."""

    def sections(answers: Answers, strips: Mapping[int, str]) -> list[dict[str, Any]]:
        return [clips_section(classes, answers, strips), attributes_section(classes, answers)]

    return sections


def clips_section(
    classes: tuple[str, ...], answers: Answers, strips: Mapping[int, str]
) -> dict[str, Any]:
    """The clips that have a picture, each with its attributes and those most probable."""
    scores, labels = answers.rows["scores"], answers.rows["label"]
    clips = []
    for position, path in strips.items():
        answered = scores[position] > THRESHOLD
        entry = strip_entry(
            answers,
            position,
            strip=path,
            classes=classes,
            best=positions_of_largest(scores[position], 5),
            truth=[classes[index] for index in np.flatnonzero(labels[position])],
            correct=(answered == (labels[position] > 0.5)).all(),
        )
        clips.append(entry)
    return {
        "kind": "strips",
        "title": "Clips with the highest loss",
        "note": f"{len(clips)} of {len(answers.ids):,} clips, the highest loss first.",
        "clips": clips,
    }


def attributes_section(classes: tuple[str, ...], answers: Answers) -> dict[str, Any]:
    """A row for each attribute, lowest average precision first, those without clips last."""
    scores, has = answers.rows["scores"], answers.rows["label"] > 0.5
    answered = scores > THRESHOLD
    rows = []
    for index, name in enumerate(classes):
        num_clips, num_answered = int(has[:, index].sum()), int(answered[:, index].sum())
        num_right = int((has[:, index] & answered[:, index]).sum())
        # JSON has no NaN: a share of nothing is left out
        average = float(answers.tables["average_precision"][index]) if num_clips else None
        recall = num_right / num_clips if num_clips else None
        precision = num_right / num_answered if num_answered else None
        rows.append([name, num_clips, average, recall, precision])
    rows.sort(key=lambda row: (row[1] == 0, row[2] or 0.0, -row[1]))
    columns = [
        {"title": "attribute", "unit": ""},
        {"title": "clips", "unit": ""},
        {"title": "average precision", "unit": PERCENT},
        {"title": "recall", "unit": PERCENT},
        {"title": "precision", "unit": PERCENT},
    ]
    return {"kind": "table", "title": "Attributes, worst first", "columns": columns, "rows": rows}
