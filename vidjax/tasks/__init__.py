"""What a label is: the questions that a network can be asked, one a file, named by the file.

A task is the only place that knows labels. It encodes them, measures logits against them, and says
what of an evaluation is shown. Training, evaluation, progress and report go over what a task names,
and are the same for all of them.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from vidjax.core.errors import UserError
from vidjax.core.names import no_such
from vidjax.learn import losses
from vidjax.learn.augment import Moves
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


RowsOf = Callable[[jax.Array, jax.Array], dict[str, jax.Array]]  # (scores, label) -> rows


def rows_of_scores(scores: jax.Array, label: jax.Array) -> dict[str, jax.Array]:
    """The rows of most tasks: "label" [N, ...] and "scores" [N, ...]."""
    return {"label": label, "scores": scores}


class ClipSize(NamedTuple):
    """Frames, and side of the square in pixels, of the clips that labels are made for."""

    num_frames: int
    size: int


SMALL_CLIP = ClipSize(8, 56)


@dataclass(frozen=True)
class Task:
    """The contract of a task: pure functions and what is shown of their results.

    K is the number of classes. A record is anything with an `id` and a `label`, the latter as
    names.
    """

    name: str
    classes: tuple[str, ...]
    answers: str  # what has an answer: "clip", "frames" or "places", as a head says it
    num_logits: int  # of each answer; the classes, and the background where that is none of them
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
    rows: RowsOf = rows_of_scores  # what is kept of each clip; dense maps are not
    # rows of a batch on the host -> what is kept of them, where that is not what a device computes
    digest: Callable[[Rows], Rows] | None = None
    # (records, frame positions of each [n, T]) -> rows of what the records say beyond the labels
    truth: Callable[[Sequence[Any], np.ndarray], Rows] | None = None
    # (video uint8 [T, H, W, 3], label, scores) -> the video with both drawn in, for pictures
    paint: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None
    # (label [N, ...], learn.augment.Moves) -> label, for labels that say where something is; then
    # `flip_label` changes what is said of a mirrored clip, and this where it is said
    move_label: Callable[[jax.Array, Moves], jax.Array] | None = None
    curves: tuple[str, ...] = field(default=())  # names in `shown` that are drawn over the steps

    def logits_shape(self, clip: ClipSize) -> tuple[int, ...]:
        """The shape of the logits of one clip."""
        places = {
            "clip": (),
            "frames": (clip.num_frames,),
            "places": (clip.num_frames, clip.size, clip.size),
        }
        return (*places[self.answers], self.num_logits)

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
    """Every task that `build` takes, sorted. A file with an underscore helps and is none."""
    files = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name for name in files if not name.startswith("_"))


def options(name: str) -> dict[str, Any]:
    """The settings that a task has for itself, with their defaults: keys of `config.task`."""
    _check_name(name)
    return dict(getattr(importlib.import_module(f"{__name__}.{name}"), "OPTIONS", {}))


def _check_name(name: str) -> None:
    if name not in names():
        raise UserError(f"config.task.name: {no_such('task', name, names())}")


def build(
    name: str,
    classes: Sequence[str],
    *,
    clip: ClipSize = SMALL_CLIP,
    loss: str = "",
    settings: Mapping[str, Any] | None = None,
    **own: Any,
) -> Task:
    """The task of that name over classes.

    Args:
        name: a file of this folder.
        classes: the names of the classes; the place of a name is its index.
        clip: frames and size of the clips, for labels of frames or places.
        loss: a key of `learn.losses.LOSSES` that fits the task; "" for the first that does.
        settings: keyword arguments of the loss.
        **own: the task's own settings; those that are not given are as in its OPTIONS.

    Raises UserError for a name that does not exist, and for a loss that does not fit.
    """
    _check_name(name)
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

    return module.build(tuple(classes), loss_of_clips, clip, **{**options(name), **own})


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
