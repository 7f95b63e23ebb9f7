"""What a label is: the questions that a network can be asked, one a file, named by the file.

A task is the only place that knows labels. It encodes them, measures logits against them, and says
what of an evaluation is shown. Training, evaluation, progress and report go over what a task names,
and are the same for all of them.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from vidjax.core.errors import UserError
from vidjax.core.names import no_such
from vidjax.learn import losses
from vidjax.learn.metrics import Metric, Rows

PERCENT = "%"  # the unit of a share in 0..1 that is shown in per cent


@dataclass(frozen=True)
class Scalar:
    """A number that an evaluation comes to, and how it is shown."""

    name: str  # as in metrics.jsonl, behind "train/" or "val/"
    title: str  # for people
    unit: str = ""  # PERCENT for a share, "" for a plain number
    of_clips: bool = False  # whether it is the share of clips for which something is true
    chance: float | None = None  # what answering at random comes to, if that is known

    def text(self, value: float) -> str:
        """'top-1 93.9 %', or 'loss 2.310' for a plain number."""
        if self.unit == PERCENT:
            return f"{self.title} {100 * value:.1f} %"
        return f"{self.title} {value:.3f}"

    def about(self) -> dict[str, Any]:
        """What files say of it: JSON-ready."""
        entry = {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "of_clips": self.of_clips,
        }
        if self.chance is not None:
            entry["chance"] = self.chance
        return entry


LOSS = Scalar("loss", "loss")


@dataclass(frozen=True)
class Answers:
    """What a network answered about a split, on the host: all that a report may show of it."""

    ids: Sequence[str]  # of the clips, n of them
    rows: Rows  # "label", "scores" and "loss", n rows each
    scalars: Mapping[str, float]  # by name, without a prefix
    tables: Mapping[str, np.ndarray]  # of the metrics, by name


@dataclass(frozen=True)
class Task:
    """The contract of a task: pure functions and what is shown of their results.

    K is the number of classes. A record is anything with an `id` and a `label`, the latter as
    names.
    """

    name: str
    classes: tuple[str, ...]
    # What one label is, as `encode` returns it: its shape and dtype.
    label: jax.ShapeDtypeStruct
    # (record, frame positions [T], crop box, side in pixels, masks) -> array like `label`; on the
    # host. Raises DataError for a label that is no class.
    encode: Callable[..., np.ndarray]
    # (logits [N, ...], label [N, ...]) -> float32 [N]
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    # logits [N, ...] -> what the rows of an evaluation keep and what a user is shown: probabilities
    scores: Callable[[jax.Array], jax.Array]
    metrics: Mapping[str, Metric]  # of an evaluation
    train_metrics: tuple[str, ...]  # those of them that are measured in training, too
    shown: tuple[Scalar, ...]  # what is printed and reported, in this order; the loss comes behind
    best: str  # the scalar whose largest value makes a checkpoint the best
    # (label [N, ...], whether a clip is mirrored bool [N], class of each class's mirror image [K])
    # -> label
    flip_label: Callable[[jax.Array, jax.Array, np.ndarray], jax.Array]
    # (answers, most clips) -> positions of the clips whose frames are worth a picture
    worst: Callable[[Answers, int], list[int]]
    # (answers, path of the picture of each position) -> generic sections of the report
    sections: Callable[[Answers, Mapping[int, str]], list[dict[str, Any]]]
    # Whether a label says where or when something is, so that crops and frame choices change it.
    moves_in_space: bool = False
    moves_in_time: bool = False
    curves: tuple[str, ...] = field(default=())  # names in `shown` that are drawn over the steps

    def scalar(self, name: str) -> Scalar:
        """The scalar of that name among those shown."""
        return next(scalar for scalar in self.shown if scalar.name == name)

    def metrics_of_training(self) -> dict[str, Metric]:
        """The metrics that a training step measures, by name."""
        return {name: self.metrics[name] for name in self.train_metrics}

    def about(self) -> dict[str, Any]:
        """What a work folder says about the task, so that a report needs no task: JSON-ready."""
        return {
            "name": self.name,
            "scalars": [scalar.about() for scalar in self.shown],
            "curves": [self.scalar(name).about() for name in self.curves],
            "best": self.best,
        }


def names() -> list[str]:
    """Every task that `build` takes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def build(
    name: str, classes: Sequence[str], *, loss: str = "", settings: Mapping[str, Any] | None = None
) -> Task:
    """The task of that name over classes.

    Args:
        name: a file of this folder.
        classes: the names of the classes; the place of a name is its index.
        loss: a key of `learn.losses.LOSSES` that fits the task; "" for the first that does.
        settings: keyword arguments of the loss.

    Raises UserError for a name that does not exist, and for a loss that does not fit.
    """
    if name not in names():
        raise UserError(f"config.task.name: {no_such('task', name, names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    loss = loss or module.LOSSES[0]
    if loss not in losses.LOSSES:
        raise UserError(f"config.loss.name: {no_such('loss', loss, list(losses.LOSSES))}")
    if loss not in module.LOSSES:
        raise UserError(
            f"config.loss.name is {loss!r}, which does not fit the task {name}; "
            f"it takes {' or '.join(module.LOSSES)}."
        )
    settings = dict(settings or {})
    losses.check_smoothing(settings.get("label_smoothing", 0.0))

    def loss_of_clips(logits, label):
        return losses.LOSSES[loss](logits, label, **settings)

    return module.build(tuple(classes), loss_of_clips)


def json_number(value: float) -> float | None:
    """A number as JSON may have it, with six decimals: None for NaN and infinities."""
    return round(float(value), 6) if np.isfinite(value) else None


def strip_entry(
    answers: Answers,
    position: int,
    *,
    strip: str,
    classes: Sequence[str],
    best: Sequence[int],
    truth: str | list[str],
    correct: bool,
) -> dict[str, Any]:
    """A clip of a section of strips: JSON-ready.

    Args:
        answers: of the evaluation.
        position: of the clip in them.
        strip: the path of its picture.
        classes: the names of the classes.
        best: the classes to list with their scores, most probable first.
        truth: the name of the true class, or the names where there may be several.
        correct: whether the network was right.
    """
    listed = []
    for index in best:
        listed.append([classes[index], json_number(answers.rows["scores"][position, index])])
    return {
        "id": answers.ids[position],
        "strip": strip,
        "truth": truth,
        "answers": listed,
        "loss": json_number(answers.rows["loss"][position]),
        "correct": bool(correct),
    }


def positions_of_largest(values: np.ndarray, limit: int) -> list[int]:
    """The positions of the largest values, largest first, NaN last: at most `limit` of them."""
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
    return [int(position) for position in order[:limit]]
