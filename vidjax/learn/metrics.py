"""Metrics that add up over batches and devices, and are finished once on the host.

A metric measures a batch: (logits, label, mask) -> sums. Sums are arrays that stay on the device
and are added batch by batch. At the end `finish` divides them and may look at the rows, which hold
the scores of every single clip: some metrics, such as average precision, are no sums.

Clips with mask 0 (padding) count for nothing, whatever their logits and labels hold. Counts are
float32: exact up to 16,777,216 clips.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.learn.losses import at_label, hard_label

Pair = tuple[jax.Array, jax.Array]  # a weighted sum, and the sum of the weights
Sums = dict[str, Any]  # by metric: whatever its `measure` returns
Rows = dict[str, np.ndarray]  # "label", "scores" and "loss" of all clips, one a row


class Result(NamedTuple):
    """What a metric came to: numbers by name, and arrays by name for the report."""

    scalars: dict[str, float]
    tables: dict[str, np.ndarray] = {}


class Metric:
    """The contract of a metric. A subclass gives `measure` and `finish`."""

    def measure(self, logits: jax.Array, label: jax.Array, mask: jax.Array) -> Any:
        """The sums of one batch: logits [N, ...], label [N, ...], mask float32 [N] -> arrays."""
        raise NotImplementedError

    def finish(self, sums: Any, rows: Rows) -> Result:
        """The result of all batches, from sums and rows on the host."""
        raise NotImplementedError

    def zeros(self, logits: Any, label: Any) -> Any:
        """The sums of no clip, for logits and labels of these shapes and dtypes."""
        mask = jax.ShapeDtypeStruct(logits.shape[:1], jnp.float32)
        shapes = jax.eval_shape(self.measure, logits, label, mask)
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def update(self, sums: Any, logits: jax.Array, label: jax.Array, *, mask: jax.Array) -> Any:
        """The sums with one more batch."""
        return add(sums, self.measure(logits, label, mask))


@dataclass(frozen=True)
class Mean(Metric):
    """The mean over clips of `value(logits, label) -> [N]`, reported under `name`."""

    name: str
    value: Callable[[jax.Array, jax.Array], jax.Array]

    def measure(self, logits, label, mask):
        return weighted(self.value(logits, label), mask)

    def finish(self, sums, rows):
        return Result({self.name: divide(sums)})


@dataclass(frozen=True)
class Confusion(Metric):
    """The confusion matrix as a table, and `mean_class`, the mean recall of its classes."""

    name: str = "confusion"

    def measure(self, logits, label, mask):
        return confusion(logits, label, mask)

    def finish(self, sums, rows):
        counts = np.rint(sums[0]).astype(int)
        return Result({"mean_class": mean_class(counts)}, {self.name: counts})


@dataclass(frozen=True)
class MeanAveragePrecision(Metric):
    """The average precision of each class as a table, and `map`, its mean over the classes.

    A class without a positive clip has no precision and is left out of the mean.
    """

    name: str = "average_precision"

    def measure(self, logits, label, mask):
        return ()  # a ranking of all clips is no sum: everything comes from the rows

    def finish(self, sums, rows):
        each = average_precisions(rows["scores"], rows["label"])
        defined = each[~np.isnan(each)]
        mean = float(defined.mean()) if len(defined) else float("nan")
        return Result({"map": mean}, {self.name: each})


def weighted(value: jax.Array, mask: jax.Array) -> Pair:
    """(sum of value * mask, sum of mask), float32, of value [N]; NaN under mask 0 is left out."""
    mask = mask.astype(jnp.float32)
    return jnp.where(mask > 0, value.astype(jnp.float32) * mask, 0).sum(), mask.sum()


def divide(pair: tuple[Any, Any]) -> float:
    """Sum over weight as a Python number; NaN where the weight is 0."""
    total, weight = float(pair[0]), float(pair[1])
    return total / weight if weight > 0 else float("nan")


def add(a: Any, b: Any) -> Any:
    """The sums of both, array by array; also for sums that are on the host already."""
    return jax.tree.map(lambda x, y: x + y, a, b)


def in_top(logits: jax.Array, label: jax.Array, *, k: int) -> jax.Array:
    """Whether each label is among the k highest logits: [N, K], [N] -> bool [N].

    Ties count against the clip: a label is in the top k only if fewer than k other classes have at
    least its logit, so a network whose outputs are all equal scores 0 (where k < K). A NaN logit
    counts as higher than any other. A label whose logit is NaN, or that is no class, is never
    right.
    """
    logits, label = logits.astype(jnp.float32), hard_label(label, logits)
    label_logit = at_label(logits, label)
    # "not below" counts NaN as ahead; the label is not below itself, hence the 1
    num_ahead = (~(logits < label_logit[:, None])).sum(-1) - 1
    return (num_ahead < k) & ~jnp.isnan(label_logit)


def top_k(k: int) -> Metric:
    """The share of clips whose label is among the k highest logits (`in_top`); 1 where k >= K."""

    def value(logits, label):
        return in_top(logits, label, k=k)

    return Mean(f"top{k}", value)


def confusion(logits: jax.Array, label: jax.Array, mask: jax.Array) -> Pair:
    """Counts [K, K], row = true class, column = predicted class, and the number of clips.

    Where the label ties with another class, the other one (the first of several) is the prediction,
    so that the diagonal sums to what `top_k(1)` counts.
    """
    num_classes = logits.shape[-1]
    label = hard_label(label, logits)
    logits, mask = logits.astype(jnp.float32), mask.astype(jnp.float32)
    truth = jax.nn.one_hot(label, num_classes)  # [N, K]
    other = jnp.argmax(jnp.where(truth > 0, -jnp.inf, logits), axis=-1)
    predicted = jnp.where(in_top(logits, label, k=1), label, other)
    # A matrix product and no scatter: the same bits on every device. Its precision is HIGHEST
    # because a mask that is a fraction would be rounded on accelerators.
    counts = jnp.matmul(
        (truth * mask[:, None]).T, jax.nn.one_hot(predicted, num_classes), precision="highest"
    )
    return counts, mask.sum()


def mean_class(counts: np.ndarray) -> float:
    """Mean recall over the classes that occur in a confusion matrix [K, K]; NaN where none does."""
    counts = np.asarray(counts, np.float64)
    totals = counts.sum(1)
    occurs = totals > 0
    if not occurs.any():
        return float("nan")
    return float(np.mean(np.diag(counts)[occurs] / totals[occurs]))


def all_right(logits: jax.Array, label: jax.Array) -> jax.Array:
    """Whether every yes-or-no answer of a clip is right: [N, K], [N, K] of 0 and 1 -> bool [N].

    An answer is yes where its logit is above 0, that is, where its probability is above a half. NaN
    is never right.
    """
    logits = logits.astype(jnp.float32)
    right = ((logits > 0) == (label > 0.5)) & ~jnp.isnan(logits)
    return right.all(-1)


def average_precisions(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The average precision of each class: scores [n, K], label [n, K] of 0 and 1 -> float64 [K].

    The sum over thresholds of (recall - recall before) * precision, without interpolation. Clips of
    equal score pass a threshold together. NaN for a class without a positive clip.
    """
    num_classes = scores.shape[1]
    result = np.full(num_classes, np.nan)
    for index in range(num_classes):
        positive = label[:, index] > 0.5
        if positive.any():
            result[index] = average_precision(scores[:, index], positive)
    return result


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Of one class with at least one positive clip: scores [n], positive bool [n]."""
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    # the last clip of each run of equal scores is where a threshold lies
    is_threshold = np.append(scores[1:] != scores[:-1], True)
    num_right = np.cumsum(positive)[is_threshold]
    num_above = np.flatnonzero(is_threshold) + 1
    recall = num_right / positive.sum()
    gained = np.diff(recall, prepend=0.0)
    return float(np.sum(gained * num_right / num_above))
