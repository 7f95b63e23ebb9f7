"""An evaluation of a task as a job makes one, in padded batches, from logits and labels."""

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.learn import steps
from vidjax.tasks import Answers


def padded(array, count):
    """The array with rows of rubbish behind it, up to `count`."""
    rubbish = np.full((count - len(array), *array.shape[1:]), 3, array.dtype)
    return jnp.asarray(np.concatenate([array, rubbish]))


def evaluate(task, logits, label, *, batch_size=4, truth=None):
    """The answers about n clips: logits [n, ...] and label [n, ...] through the task's functions.

    `truth` are rows that the records give besides.
    """
    sums = steps.zeros(task.metrics, logits=jnp.asarray(logits[:1]), label=jnp.asarray(label[:1]))

    @jax.jit
    def step(sums, x, y, mask):
        loss = task.loss(x, y)
        of_batch = (jnp.where(mask > 0, loss, 0).sum(), mask.sum())
        updated = {"loss": jax.tree.map(jnp.add, sums["loss"], of_batch)}
        for name, metric in task.metrics.items():
            updated[name] = metric.update(sums[name], x, y, mask=mask)
        return updated, {**task.rows(task.scores(x), y), "loss": loss}

    parts = []
    for start in range(0, len(logits), batch_size):
        x, y = logits[start : start + batch_size], label[start : start + batch_size]
        mask = (np.arange(batch_size) < len(x)).astype(np.float32)
        sums, rows = step(sums, padded(x, batch_size), padded(y, batch_size), mask)
        rows = jax.device_get(rows)
        if task.digest is not None:
            rows = task.digest(rows)
        parts.append({name: value[: len(x)] for name, value in rows.items()})
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows |= truth or {}
    result = steps.finish(task.metrics, jax.device_get(sums), rows, prefix="")
    ids = [f"clip{number}" for number in range(len(logits))]
    return Answers(ids, rows, result.scalars, result.tables)


def measured_in_training(task, logits, label, mask):
    """The metrics of a training step, by name, from one batch."""
    scalars = {}
    for metric in task.metrics_of_training().values():
        sums = jax.jit(metric.measure)(logits, label, mask)
        scalars |= metric.finish(jax.device_get(sums), {}).scalars
    return scalars
