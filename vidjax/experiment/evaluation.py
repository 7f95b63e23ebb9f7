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
from vidjax.core.names import counted
from vidjax.data import pipeline
from vidjax.data.clips import choose_positions
from vidjax.data.records import Record
from vidjax.experiment import inference
from vidjax.experiment.assembly import Experiment
from vidjax.experiment.programs import Programs
from vidjax.learn import steps
from vidjax.run import devices
from vidjax.run.workdir import write_json
from vidjax.tasks import LOSS, Answers, Task, json_number

ScoresOf = Callable[[pipeline.Batch], np.ndarray]  # batch -> scores [N, ...] on the host

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
        flow=experiment.flow,
        batch_size=experiment.config.batch_size,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    # Rows stay on the device until the end, so that no batch waits for the one before.
    parts = []
    digest = experiment.task.digest
    for batch in batches:
        if stop:
            return None
        sums, rows = predict(variables, programs.device_batch(batch), sums)
        if digest is not None and parts:
            # Dense maps would fill the memory: those of the batch before are reduced meanwhile.
            parts[-1] = digest(jax.device_get(parts[-1]))
        parts.append(rows)
    if digest is not None:
        parts[-1] = digest(jax.device_get(parts[-1]))
    parts = jax.device_get(parts)
    rows = {}
    for name in parts[0]:
        # Global batches hold the records in order, so the padding is the tail.
        rows[name] = np.concatenate([part[name] for part in parts])[: len(records)]
    if experiment.task.truth is not None:
        rows |= experiment.task.truth(records, positions_of(experiment, records))
    result = steps.finish(experiment.task.metrics, jax.device_get(sums), rows, prefix="")
    ids = tuple(record.id for record in records)
    return Answers(ids=ids, rows=rows, scalars=result.scalars, tables=result.tables)


def positions_of(experiment: Experiment, records: Sequence[Record]) -> np.ndarray:
    """The frames of each record that an evaluation reads, int32 [n, T]."""
    positions = []
    for record in records:
        positions.append(choose_positions(experiment.clips, record.media.num_frames, draw=None))
    return np.stack(positions)


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
    scores_of: ScoresOf | None = None,
    more_sections: Sequence[dict[str, Any]] = (),
) -> None:
    """Writes evaluation/<split>.json, its rows as .npz, and the frames of the worst clips.

    `scores_of` gives the scores of a batch for those tasks that draw answers into the frames.
    Without `records` there are no frames; without a step it is an evaluation of several runs.
    `more_sections` stand in the report behind those of the task. Only the first process writes.
    Raises StorageError.
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
        write_strips(folder, split, experiment=experiment, records=shown, scores_of=scores_of)
    scalars = []
    for scalar in (*experiment.task.shown, LOSS):
        value = json_number(answers.scalars[scalar.name])
        scalars.append({**scalar.about(), "value": value})
    summary = {
        "task": experiment.task.name,
        "split": split,
        "step": step,
        "contract": inference.checksum(inference.contract(experiment)),
        "num_clips": len(answers.ids),
        "classes": list(experiment.task.classes),
        "scalars": scalars,
        "sections": [*experiment.task.sections(answers, strips), *more_sections],
    }
    # The summary comes last: whoever reads it finds the rows and pictures that belong to it.
    write_rows(folder / f"{split}.npz", answers, experiment.task.classes)
    write_json(folder / f"{split}.json", summary)


def write_rows(path: Path, answers: Answers, classes: Sequence[str]) -> None:
    """Writes all scores for other programs: `ids`, `classes`, and the rows. Raises StorageError."""
    arrays = {"ids": np.array(answers.ids), "classes": np.array(classes), **answers.rows}
    files.write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def write_strips(
    folder: Path,
    split: str,
    *,
    experiment: Experiment,
    records: Mapping[str, Record],
    scores_of: ScoresOf | None,
) -> None:
    """The frames of some clips as the network saw them, in a row: one PNG a clip.

    Tasks that answer in space draw truth and answer into them. `records` are keyed by the path of
    the picture in `folder`. Earlier pictures of the split go.
    """
    # Pictures of an earlier evaluation would stand beside the new ones.
    shutil.rmtree(folder / split, ignore_errors=True)
    (folder / split).mkdir(parents=True)
    # No more clips at a time than the user has found to fit into memory.
    batch_size = min(experiment.config.batch_size, devices.fitting_batch(len(records)))
    batches = pipeline.eval_batches(
        list(records.values()),
        experiment.clips,
        encode=experiment.task.encode,
        flow=experiment.flow,
        batch_size=batch_size,
    )
    paths = iter(records)
    for batch in batches:
        videos = batch["video"]  # [clips, T, H, W, C]
        if experiment.task.paint is not None and scores_of is not None:
            videos = painted(experiment.task, batch, scores_of(batch))
        # Padding, at the end of the last batch, has no path.
        for video, path in zip(videos, paths, strict=False):
            frames_in_a_row = np.concatenate(list(video), axis=1)  # [H, T*W, C]
            Image.fromarray(frames_in_a_row).save(folder / path)


def painted(task: Task, batch: pipeline.Batch, scores: np.ndarray) -> list[np.ndarray]:
    """The videos of a batch with truth and answer drawn in."""
    videos = []
    for video, label, score in zip(batch["video"], batch["label"], scores, strict=True):
        videos.append(task.paint(video, label, score))
    return videos


def say(experiment: Experiment, answers: Answers, *, split: str, step: int) -> None:
    """Prints one line with the scores."""
    texts = []
    for scalar in (*experiment.task.shown, LOSS):
        texts.append(scalar.text(answers.scalars[scalar.name]))
    synthetic = " (synthetic)" if experiment.source.synthetic else ""
    num_clips = counted(len(answers.ids), "clip")
    log.info("%s at step %d: %s, %s%s", split, step, ", ".join(texts), num_clips, synthetic)
