"""The headline numbers: the evaluation, the last and the best validation, and the error of a share.

A row of results holds the same scalars whether they come from an evaluation file or from a line of
metrics.jsonl, so one table shows them all.
"""

import math
from dataclasses import dataclass
from typing import Any

from vidjax.report.read import Run, Scalar
from vidjax.report.values import NOTHING, count, number, with_unit


@dataclass(frozen=True)
class Result:
    """One row of the results: where the numbers come from, at which step, and the numbers."""

    name: str
    step: int | None  # None where the evaluation file does not say
    num_clips: float
    values: dict[str, float]  # by the scalar's name; NaN or absent where nothing was measured

    def text(self, scalar: Scalar) -> str:
        """The value of a scalar with its unit."""
        return with_unit(self.values.get(scalar.name, math.nan), scalar.unit)

    @property
    def step_text(self) -> str:
        """The step as it is written in a table."""
        if self.step is None:
            return NOTHING
        return f"{self.step:,}"


@dataclass(frozen=True)
class Tile:
    """A headline number with its name above it and a note below it."""

    title: str
    value: str
    note: str = ""


def results(run: Run) -> list[Result]:
    """The evaluation, the last validation of the training, and the best, as far as they exist."""
    rows = []
    if run.evaluation:
        evaluation = run.evaluation
        name = f"evaluation, {run.split}"
        rows.append(Result(name, evaluation.step, evaluation.num_clips, evaluation.values()))
    lines = validations(run)
    if lines:
        rows.append(result_of_line(run, "last validation in training", lines[-1]))
    best = best_validation(run)
    if best:
        rows.append(result_of_line(run, "best validation in training", best))
    return rows


def result_of_line(run: Run, name: str, line: dict[str, Any]) -> Result:
    """The row of results for one line of metrics.jsonl."""
    values = {scalar.name: number(line.get(f"val/{scalar.name}")) for scalar in run.scalars}
    return Result(name, line["step"], number(line.get("val/num_clips")), values)


def validations(run: Run) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that hold a validation, in the order of the steps."""
    lines = []
    for line in run.metrics:
        values = [number(line.get(f"val/{scalar.name}")) for scalar in run.scalars]
        if any(map(math.isfinite, values)):
            lines.append(line)
    return lines


def best_validation(run: Run) -> dict[str, Any] | None:
    """The line with the highest value of the task's best scalar, the latest of equals."""
    key = f"val/{run.task.get('best')}"
    best = None
    highest = -math.inf
    for line in run.metrics:
        value = number(line.get(key))
        # The latest of equal ones is the checkpoint that is kept as the best.
        if math.isfinite(value) and value >= highest:
            best, highest = line, value
    return best


def tiles(run: Run, result: Result) -> list[Tile]:
    """The headline numbers of one row: every scalar but the loss, and the number of clips."""
    shown = []
    for scalar in run.scalars[:-1]:  # the last is the loss
        note = ""
        # Clips are independent draws. A mean over classes or of precisions has another error.
        if scalar.of_clips:
            note = interval(result.values.get(scalar.name, math.nan), result.num_clips)
        shown.append(Tile(scalar.title, result.text(scalar), note))
    note = result.name
    if result.step is not None:
        note += f", step {result.step:,}"
    shown.append(Tile("clips", count(result.num_clips), note))
    return shown


def interval(share: float, num_clips: float) -> str:
    """The 95 % interval of a share of clips in words; '' where there is none, as with NaN."""
    if not (0 <= share <= 1 and 1 <= num_clips < math.inf):
        return ""
    low, high = wilson_interval(share, int(num_clips))
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f}"


def wilson_interval(share: float, num_clips: int, *, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share of independent clips, which never leaves [0, 1].

    Wilson, JASA 1927. With z = 1.96 it covers the true share in 95 % of samples.
    """
    denominator = 1 + z**2 / num_clips
    centre = (share + z**2 / (2 * num_clips)) / denominator
    variance = share * (1 - share) / num_clips + z**2 / (4 * num_clips**2)
    half = z / denominator * math.sqrt(variance)
    return max(0.0, centre - half), min(1.0, centre + half)
