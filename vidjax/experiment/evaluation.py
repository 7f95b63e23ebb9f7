"""A split through a network: metrics, every clip's scores, and pictures of the worst clips.

Every clip counts once, on any number of devices and processes: the last batch is padded and masked.
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from vidjax.core import files
from vidjax.data import pipeline
from vidjax.data.records import Record
from vidjax.experiment.assembly import Experiment
from vidjax.experiment.programs import Programs
from vidjax.learn import steps
from vidjax.run import devices
from vidjax.run.workdir import write_json
from vidjax.tasks import LOSS, Answers, json_number

log = logging.getLogger("vidjax")

NUM_STRIPS = 12  # clips that get a picture
PREFIX = "val/"  # of the scalars of an evaluation in metrics.jsonl, whatever the split


def evaluate(
    programs: Programs,
    records: Sequence[Record],
    *,
    predict: Callable,
    variables: Any,
    stop: Any = False,
) -> Answers | None:
    """Runs the network over all records.

    Args:
        programs: of the experiment.
        records: the clips.
        predict: `programs.predict_step()`, which is compiled once for many evaluations.
        variables: of the network.
        stop: becomes true when a signal has come.

    Returns None where `stop` became true meanwhile.
    """
    experiment = programs.experiment
    sums = programs.empty_sums()
    batches = pipeline.eval_batches(
        records,
        experiment.clips,
        encode=experiment.task.encode,
        batch_size=experiment.config.batch_size,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    # Rows stay on the device until the end, so that no batch waits for the one before.
    parts = []
    for batch in batches:
        if stop:
            return None
        sums, rows = predict(variables, programs.device_batch(batch), sums)
        parts.append(rows)
    parts = jax.device_get(parts)
    rows = {}
    for name in parts[0]:
        # Global batches hold the records in order, so the padding is the tail.
        rows[name] = np.concatenate([part[name] for part in parts])[: len(records)]
    result = steps.finish(experiment.task.metrics, jax.device_get(sums), rows, prefix="")
    ids = tuple(record.id for record in records)
    return Answers(ids=ids, rows=rows, scalars=result.scalars, tables=result.tables)


def scalars_of(answers: Answers) -> dict[str, float]:
    """The scalars as metrics.jsonl has them."""
    return {PREFIX + name: value for name, value in answers.scalars.items()}


def write(
    workdir: Path,
    experiment: Experiment,
    answers: Answers,
    *,
    records: Sequence[Record],
    split: str,
    step: int | None,
) -> None:
    """Writes evaluation/<split>.json, its rows as .npz, and the frames of the worst clips.

    Without `records` there are no frames; without a step it is an evaluation of several runs.
    Only the first process writes. Raises StorageError.
    """
    if not devices.is_first_process():
        return
    folder = workdir / "evaluation"
    strips = {}
    worst = []
    if records and not experiment.reads_arrays:  # else there are no frames to show
        worst = experiment.task.worst(answers, NUM_STRIPS)
    for position in worst:
        # An id may look like a path; the number keeps two that differ in slashes apart.
        name = records[position].id.replace("/", "_")
        strips[position] = f"{split}/{position}_{name}.png"
    shown = {strips[position]: records[position] for position in worst}
    if shown:
        write_strips(folder, split, experiment=experiment, records=shown)
    scalars = []
    for scalar in (*experiment.task.shown, LOSS):
        value = json_number(answers.scalars[scalar.name])
        scalars.append({**scalar.about(), "value": value})
    summary = {
        "task": experiment.task.name,
        "split": split,
        "step": step,
        "num_clips": len(answers.ids),
        "classes": list(experiment.task.classes),
        "scalars": scalars,
        "sections": experiment.task.sections(answers, strips),
    }
    # The summary comes last: whoever reads it finds the rows and pictures that belong to it.
    write_rows(folder / f"{split}.npz", answers, experiment.task.classes)
    write_json(folder / f"{split}.json", summary)


def write_rows(path: Path, answers: Answers, classes: Sequence[str]) -> None:
    """Writes all scores for other programs: `ids`, `classes`, and the rows. Raises StorageError."""
    arrays = {"ids": np.array(answers.ids), "classes": np.array(classes), **answers.rows}
    files.write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def write_strips(
    folder: Path, split: str, *, experiment: Experiment, records: Mapping[str, Record]
) -> None:
    """The frames of some clips as the network saw them, in a row: one PNG a clip.

    `records` are keyed by the path of the picture in `folder`. Earlier pictures of the split go.
    """
    # Pictures of an earlier evaluation would stand beside the new ones.
    shutil.rmtree(folder / split, ignore_errors=True)
    (folder / split).mkdir(parents=True)
    batches = pipeline.eval_batches(
        list(records.values()),
        experiment.clips,
        encode=experiment.task.encode,
        batch_size=len(records),
    )
    videos = next(batches)["video"]  # [clips, T, H, W, C]
    for path, video in zip(records, videos, strict=True):
        frames_in_a_row = np.concatenate(list(video), axis=1)  # [H, T*W, C]
        Image.fromarray(frames_in_a_row).save(folder / path)


def say(experiment: Experiment, answers: Answers, *, split: str, step: int) -> None:
    """Prints one line with the scores."""
    texts = []
    for scalar in (*experiment.task.shown, LOSS):
        texts.append(scalar.text(answers.scalars[scalar.name]))
    synthetic = " (synthetic)" if experiment.source.synthetic else ""
    num_clips = len(answers.ids)
    log.info("%s at step %d: %s, %d clips%s", split, step, ", ".join(texts), num_clips, synthetic)
