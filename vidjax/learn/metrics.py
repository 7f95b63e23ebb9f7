"""Metrics as pairs (sum, weight): they add over batches and devices, and divide once at the end.

A metric is a function (logits [N, K], label int32 [N], mask float32 [N]) -> (sum, weight). Clips with mask 0 (padding)
count for nothing, whatever their logits and labels hold. Sums are dicts of such pairs and stay on the device; `finish`
brings them to the host. Counts are float32: exact up to 16,777,216 clips.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.learn.losses import at_label

Pair = tuple[jax.Array, jax.Array]
Sums = dict[str, Pair]
Metric = Callable[[jax.Array, jax.Array, jax.Array], Pair]


def weighted(value: jax.Array, mask: jax.Array) -> Pair:
    """(sum of value * mask, sum of mask), float32, of value [N]; a NaN under mask 0 does not spread."""
    mask = mask.astype(jnp.float32)
    return jnp.where(mask > 0, value.astype(jnp.float32) * mask, 0).sum(), mask.sum()


def in_top(logits: jax.Array, label: jax.Array, *, k: int) -> jax.Array:
    """Whether each label is among the k highest logits: [N, K], [N] -> bool [N].

    Ties count against the clip: a label is in the top k only if fewer than k other classes reach its logit, so a
    network whose outputs are all equal scores 0 (where k < K). A NaN logit counts as higher than any other, and a
    label whose own logit is NaN, or that is no class, is never right.
    """
    logits = logits.astype(jnp.float32)
    own = at_label(logits, label)
    num_ahead = (~(logits < own[:, None])).sum(-1) - 1  # the label itself is not below itself
    return (num_ahead < k) & ~jnp.isnan(own)


def top_k(k: int) -> Metric:
    """Share of clips whose label is among the k highest logits (see `in_top`); 1 where k >= K."""

    def metric(logits, label, mask):
        return weighted(in_top(logits, label, k=k), mask)

    return metric


def confusion(logits: jax.Array, label: jax.Array, mask: jax.Array) -> Pair:
    """Counts [K, K], row = true class, column = predicted class, and the number of clips.

    Where the label ties with another class the other one is the prediction (the first of several), so that the diagonal
    sums to what `top_k(1)` counts.
    """
    num_classes = logits.shape[-1]
    logits, mask = logits.astype(jnp.float32), mask.astype(jnp.float32)
    own = jax.nn.one_hot(label, num_classes)
    other = jnp.argmax(jnp.where(own > 0, -jnp.inf, logits), axis=-1)
    predicted = jnp.where(in_top(logits, label, k=1), label, other)
    # A matrix product, not a scatter: the same bits on every device. HIGHEST, or a fractional mask would be rounded.
    counts = jnp.matmul(
        (own * mask[:, None]).T, jax.nn.one_hot(predicted, num_classes), precision="highest"
    )
    return counts, mask.sum()


METRICS = {
    "top1": top_k(1),
    "top5": top_k(5),
    "confusion": confusion,
}


def measure(loss: jax.Array, logits: jax.Array, label: jax.Array, mask: jax.Array) -> Sums:
    """All METRICS and the loss [N] of one batch."""
    return {"loss": weighted(loss, mask)} | {
        name: metric(logits, label, mask) for name, metric in METRICS.items()
    }


def zeros(num_classes: int) -> Sums:
    """What evaluation starts from: the sums of no clip."""
    none = jnp.zeros((0,))
    shapes = jax.eval_shape(
        measure, none, jnp.zeros((0, num_classes)), none.astype(jnp.int32), none
    )
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def add(a: Sums, b: Sums) -> Sums:
    """The sums of both; also for sums already on the host."""
    return jax.tree.map(lambda x, y: x + y, a, b)


def mean_class(counts: np.ndarray) -> float:
    """Mean recall over the classes that occur in a confusion matrix [K, K]; NaN where none does."""
    counts = np.asarray(counts, np.float64)
    total = counts.sum(1)
    occurs = total > 0
    return float(np.mean(np.diag(counts)[occurs] / total[occurs])) if occurs.any() else float("nan")


def finish(sums: Sums, *, prefix: str = "val/") -> dict[str, float]:
    """Divides: {"val/loss", "val/top1", "val/top5", "val/mean_class", "val/num_clips"} as Python numbers (this syncs).

    `mean_class` comes from the confusion sums, which are not among the results themselves; an entry that is absent from
    the sums is absent from the result. Without any clip the means are NaN and `num_clips` is 0.
    """
    sums = jax.device_get(sums)
    result = {}
    for name, (total, weight) in sums.items():
        if name == "confusion":
            result[prefix + "mean_class"] = mean_class(total)
        else:
            result[prefix + name] = float(total) / float(weight) if weight > 0 else float("nan")
    result[prefix + "num_clips"] = round(float(sums["loss"][1]))
    return result
