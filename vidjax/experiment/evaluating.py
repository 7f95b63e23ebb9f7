"""A split through a network: metrics, every clip's answer, and pictures of the worst mistakes.

Every clip counts once, on any number of devices and processes: the last batch is padded and masked.
"""

import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict
from PIL import Image

from vidjax.data import pipeline
from vidjax.data.sources import Record
from vidjax.experiment import parts, programs
from vidjax.learn import metrics
from vidjax.run import devices
from vidjax.run.workdir import write_json

log = logging.getLogger("vidjax")

NUM_STRIPS = 12  # mistakes that get a picture


@dataclass(frozen=True)
class Evaluation:
    """The result on one split: `scalars` as in metrics.jsonl, and a row a clip in the order of the records."""

    scalars: dict[str, float]
    confusion: np.ndarray  # int [K, K], row = true class
    loss: np.ndarray  # float32 [num_clips]
    top: np.ndarray  # int32 [num_clips, 5]
    probabilities: np.ndarray  # float32 [num_clips, 5]


def evaluate(
    config: ConfigDict,
    records: Sequence[Record],
    classes: Sequence[str],
    *,
    predict: Callable,
    variables: Any,
    mesh: Mesh,
    stop: Any = False,
) -> Evaluation | None:
    """Runs `predict` (of `programs.make_predict_step`) over all records; None where `stop` became true meanwhile."""
    sums = jax.device_put(metrics.zeros(len(classes)), devices.replicated(mesh))
    batches = pipeline.eval_batches(
        records,
        classes,
        parts.clip_spec(config),
        batch_size=config.batch_size,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    rows = []
    for batch in batches:
        if stop:
            return None
        sums, clips = predict(variables, programs.device_batch(batch, mesh), sums)
        rows.append(clips)
    rows = jax.device_get(rows)
    # Global batches hold the records in order, so the padding is the tail.
    stack = {key: np.concatenate([row[key] for row in rows])[: len(records)] for key in rows[0]}
    confusion = np.rint(jax.device_get(sums["confusion"][0])).astype(int)
    return Evaluation(
        metrics.finish(sums), confusion, stack["loss"], stack["top"], stack["probabilities"]
    )


def write(
    workdir: Path,
    config: ConfigDict,
    result: Evaluation,
    *,
    split: str,
    step: int,
    records: Sequence[Record],
    classes: Sequence[str],
) -> None:
    """Writes evaluation/<split>.json and a strip of frames for each of the worst mistakes, in the first process only.

    Raises StorageError.
    """
    if not devices.is_first_process():
        return
    labels = pipeline.label_indices(records, classes)
    clips = [
        {
            "id": record.id,
            "label": int(label),
            "top5": [int(c) for c in top],
            "probabilities": [round(float(p), 6) for p in probabilities],
            "loss": round(float(loss), 6) if math.isfinite(loss) else None,
        }
        for record, label, top, probabilities, loss in zip(
            records, labels, result.top, result.probabilities, result.loss, strict=True
        )
    ]
    summary = {key.removeprefix("val/"): value for key, value in result.scalars.items()}
    table = {
        "split": split,
        "step": step,
        **summary,
        "classes": list(classes),
        "confusion": result.confusion.tolist(),
    }
    shown = [records[i] for i in worst(result, labels)]
    write_strips(workdir / "evaluation" / split, config, shown, classes=classes)
    write_json(workdir / "evaluation" / f"{split}.json", {**table, "clips": clips})


def worst(result: Evaluation, labels: np.ndarray) -> list[int]:
    """Positions of the clips answered wrong with the highest loss; if none was, the clip with the highest loss."""
    order = np.argsort(-result.loss, kind="stable")
    wrong = [int(i) for i in order if result.top[i, 0] != labels[i]]
    return wrong[:NUM_STRIPS] or [int(order[0])]


def write_strips(
    folder: Path, config: ConfigDict, records: Sequence[Record], *, classes: Sequence[str]
) -> None:
    """The frames of some clips as the network saw them, side by side, one PNG a clip."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    batch = next(
        pipeline.eval_batches(records, classes, parts.clip_spec(config), batch_size=len(records))
    )
    for record, video in zip(records, batch["video"], strict=True):
        path = folder / f"{record.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)  # an id may hold folders of its own
        Image.fromarray(np.concatenate(list(video), axis=1)).save(path)


def say(split: str, step: int, scalars: dict[str, float], source) -> None:
    """One line with the result."""
    log.info(
        "%s at step %d: top-1 %.1f %%, top-5 %.1f %%, mean of classes %.1f %%, loss %.3f, %d clips%s",
        split,
        step,
        100 * scalars["val/top1"],
        100 * scalars["val/top5"],
        100 * scalars["val/mean_class"],
        scalars["val/loss"],
        scalars["val/num_clips"],
        " (synthetic)" if source.synthetic else "",
    )
