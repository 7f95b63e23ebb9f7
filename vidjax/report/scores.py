"""What the numbers of a run say: classes worst first, confused pairs, worst clips, last and best validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidjax.report.read import Clip, Evaluation, Run, number


@dataclass(frozen=True)
class ClassScore:
    """One class of an evaluation; accuracy is NaN where the split has no clip of it."""

    name: str
    num_clips: int
    num_correct: int
    accuracy: float
    confused_with: str
    num_confused: int


def class_scores(evaluation: Evaluation) -> list[ClassScore]:
    """One score a class, worst accuracy first, the larger class first among equals, classes without clips last."""
    confusion = evaluation.confusion
    errors = confusion.copy()
    np.fill_diagonal(errors, 0)
    rows = []
    for index, name in enumerate(evaluation.classes):
        total, correct, other = (
            int(confusion[index].sum()),
            int(confusion[index, index]),
            int(errors[index].argmax()),
        )
        count = int(errors[index, other])
        accuracy = correct / total if total else math.nan
        rows.append(
            ClassScore(
                name, total, correct, accuracy, evaluation.classes[other] if count else "", count
            )
        )
    return sorted(
        rows,
        key=lambda row: (row.num_clips == 0, row.accuracy if row.num_clips else 0, -row.num_clips),
    )


def confused_pairs(evaluation: Evaluation, *, limit: int = 5) -> list[tuple[str, str, int, int]]:
    """(true, predicted, clips so confused, clips of the true class), most clips first."""
    errors = evaluation.confusion.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    pairs = [tuple(int(i) for i in np.unravel_index(flat, errors.shape)) for flat in order]
    totals = evaluation.confusion.sum(axis=1)
    names = evaluation.classes
    return [
        (names[i], names[j], int(errors[i, j]), int(totals[i])) for i, j in pairs if errors[i, j]
    ]


def worst_mistakes(evaluation: Evaluation, *, limit: int = 12) -> list[Clip]:
    """Wrong clips by falling loss; where any has its frames, only those with frames."""
    wrong = [clip for clip in evaluation.clips if clip.is_mistake]
    wrong = [clip for clip in wrong if clip.strip] or wrong
    return sorted(wrong, key=badness, reverse=True)[:limit]


def poster_clip(evaluation: Evaluation) -> Clip | None:
    """The clip for filmstrip.png, among those with frames: the most confident mistake, else the worst correct clip."""
    clips = [clip for clip in evaluation.clips if clip.strip]
    wrong = [clip for clip in clips if clip.is_mistake]
    if wrong:
        return max(wrong, key=lambda clip: np.nan_to_num(clip.probabilities[0], nan=-1.0))
    return max(clips, key=badness, default=None)


def badness(clip: Clip) -> float:
    return -math.inf if math.isnan(clip.loss) else clip.loss


def validations(run: Run) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that hold a validation, by step."""
    return [line for line in run.metrics if math.isfinite(number(line.get("val/top1")))]


def best_validation(run: Run) -> dict[str, Any] | None:
    """The line of highest val/top1, the earliest of equals."""
    return max(validations(run), key=lambda line: number(line["val/top1"]), default=None)


def wilson_interval(fraction: float, num_clips: int, *, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a fraction of independent clips (Wilson, JASA 1927); it never leaves [0, 1]."""
    denominator = 1 + z**2 / num_clips
    centre = (fraction + z**2 / (2 * num_clips)) / denominator
    half = (
        z
        / denominator
        * math.sqrt(fraction * (1 - fraction) / num_clips + z**2 / (4 * num_clips**2))
    )
    return max(0.0, centre - half), min(1.0, centre + half)
