"""Late fusion of runs: their scores on a split, compared clip by clip, become one evaluation."""

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np

from vidjax.core.errors import UserError
from vidjax.experiment import inference
from vidjax.learn import fusion, steps
from vidjax.run.checkpoints import Checkpoints
from vidjax.tasks import Answers, Task

FITS = ("weights", "svm")
# how a task makes scores of logits -> logits with these scores
INVERSES = {jax.nn.softmax: jnp.log, jax.nn.sigmoid: jax.scipy.special.logit}
LEAST = 1e-7  # probabilities are kept from 0 and 1 by this much, as logits are finite


@dataclass(frozen=True)
class RunAnswers:
    """What a run answered about a split."""

    run: Path
    step: int
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    label: np.ndarray  # [N] or [N, K]
    scores: np.ndarray  # [N, K]


class Fused(NamedTuple):
    """An evaluation of several runs, and how they were fused, ready for JSON."""

    answers: Answers
    how: dict[str, Any]


def stored(run: Path, split: str, *, checkpoint: str) -> RunAnswers | None:
    """The scores in `evaluation/` of a run, if they are those of the wanted checkpoint; else None.

    Scores that an evaluation with other flags wrote, such as another size, are not the run's.
    Raises UserError where the run has no such checkpoint.
    """
    folder = run / "evaluation"
    checkpoints = Checkpoints(run)
    step = checkpoints.find(checkpoint)
    try:
        summary = json.loads((folder / f"{split}.json").read_text())
        if step is None or summary["step"] != step:
            return None
        if summary["contract"] != inference.checksum(checkpoints.contract(step)):
            return None
        with np.load(folder / f"{split}.npz") as file:
            arrays = {name: file[name] for name in ("ids", "classes", "label", "scores")}
    # Whatever is wrong with these files, the run can be evaluated again.
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return RunAnswers(
        run=run,
        step=step,
        ids=tuple(arrays["ids"].tolist()),
        classes=tuple(arrays["classes"].tolist()),
        label=arrays["label"],
        scores=arrays["scores"],
    )


def require_agreement(answers: Sequence[RunAnswers], split: str) -> None:
    """Raises UserError with the first difference in classes, clips or labels of the runs."""
    first, *others = answers
    for other in others:
        for what, one, two in (
            ("class", first.classes, other.classes),
            ("clip", first.ids, other.ids),
        ):
            for place, (a, b) in enumerate(zip_longest(one, two, fillvalue="nothing")):
                if a != b:
                    raise UserError(
                        f"{first.run} and {other.run} differ on the {split} split: {what} {place} "
                        f"is {a!r} in the one and {b!r} in the other. Only runs over the same "
                        "classes and clips can be fused."
                    )
        if first.label.shape != other.label.shape or (first.label != other.label).any():
            raise UserError(
                f"{first.run} and {other.run} have other labels for the same clips of the {split} "
                "split. Only runs with the same labels can be fused."
            )


def fuse(
    task: Task,
    answers: Sequence[RunAnswers],
    *,
    weights: Sequence[float] = (),
    fit: str = "",
    training: Sequence[RunAnswers] = (),
) -> Fused:
    """The fused evaluation.

    Args:
        task: of the runs.
        answers: of each run, on the split.
        weights: of the average, one a run; () for equal ones.
        fit: "weights" or "svm", fitted on `training`; "" for `weights`.
        training: answers of each run on the training split.

    Raises UserError for a task whose scores cannot be fused, or clips without labels.
    """
    require_scores(task, answers[0])
    scores = np.stack([answer.scores for answer in answers])  # [R, N, K]
    if fit:
        require_scores(task, training[0])
        known = np.stack([answer.scores for answer in training])
        known_label = training[0].label
    if fit == "svm":
        truth = fusion.truths(known_label, known.shape[-1])
        svm = fusion.fit_svm(fusion.stacked(known), truth)
        logits = svm.margins(fusion.stacked(scores))
        how = {"how": "svm", "penalty": fusion.PENALTY}
    else:
        shares = np.asarray(weights or [1.0] * len(answers), np.float64)
        if fit == "weights":
            shares = fusion.fit_weights(known, known_label)
        mean = np.clip(fusion.average(scores, shares), LEAST, 1 - LEAST)
        logits = INVERSES[task.scores](mean)
        how = {"how": "weights", "weights": (shares / shares.sum()).tolist()}
    return Fused(measured(task, answers[0], np.asarray(logits, np.float32)), how)


def require_task(task: Task) -> None:
    """Raises UserError for a task whose scores are not one probability a class for each clip."""
    if task.scores not in INVERSES or task.answers != "clip":
        raise UserError(
            f"Runs of the task {task.name} cannot be fused: its scores are not one probability a "
            "class for each clip."
        )


def require_scores(task: Task, answers: RunAnswers) -> None:
    """Raises UserError as `require_task` does, and for clips without labels."""
    require_task(task)
    label = answers.label
    unknown = label < 0 if label.ndim == 1 else np.isnan(label).any(1)
    if unknown.any():
        clip = answers.ids[int(unknown.argmax())]
        raise UserError(f"Clip {clip} has no label to compare with.")


def measured(task: Task, answers: RunAnswers, logits: np.ndarray) -> Answers:
    """The evaluation of these logits [N, K] for the clips of a run."""
    label = jnp.asarray(answers.label)
    loss = task.loss(logits, label)
    mask = jnp.ones(len(logits), jnp.float32)
    sums = steps.zeros(task.metrics, logits=jnp.asarray(logits[:1]), label=label[:1])
    sums["loss"] = (loss.sum(), mask.sum())
    for name, metric in task.metrics.items():
        sums[name] = metric.update(sums[name], logits, label, mask=mask)
    rows = {"label": answers.label, "scores": task.scores(logits), "loss": loss}
    rows = {name: np.asarray(value) for name, value in rows.items()}
    result = steps.finish(task.metrics, jax.device_get(sums), rows, prefix="")
    return Answers(ids=answers.ids, rows=rows, scalars=result.scalars, tables=result.tables)
