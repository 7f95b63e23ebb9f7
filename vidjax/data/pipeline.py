"""Records to batches: order, frames and crops in NumPy; decoding, batching and prefetching in tf.data.

Position p = step * batch_size + row is clip permutation(seed, p // n)[p % n] of epoch p // n, so a batch may straddle
two epochs, no clip is dropped, and to resume is to start at another step. Process k of K takes the k-th run of
batch_size / K rows of each batch. The graph is given whole steps, planned in one Python call, and splits them into
clips, which it decodes in parallel and in order.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vidjax.core.errors import DataError
from vidjax.core.names import did_you_mean
from vidjax.data import decode, sampling
from vidjax.data.clips import ClipSpec, box_of, frame_paths
from vidjax.data.sources import Record

Batch = dict[str, np.ndarray]
# clips (positions in the records) and their draws, for the rows of one process in one step
Plan = Callable[[int], tuple[np.ndarray, np.ndarray]]


def train_batches(
    records: Sequence[Record],
    classes: Sequence[str],
    spec: ClipSpec,
    *,
    seed: int,
    batch_size: int,
    start_step: int,
    num_steps: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """The batches of steps start_step .. num_steps - 1 (num_steps is the whole run's), this process's rows of each.

    `batch_size` is that of all processes together. Raises DataError where a record has no known label, and from next()
    where a frame is bad. Close the iterator (`close()`) to stop its threads.
    """
    labels = label_indices(records, classes)
    if (labels < 0).any():
        bad = records[int(np.flatnonzero(labels < 0)[0])]
        raise DataError(f"Clip {bad.id} in {bad.path} has no label: it cannot be trained on.")
    rows = _local_rows(batch_size, process_index, process_count)
    cached = functools.lru_cache(maxsize=2)(functools.partial(sampling.permutation, seed))

    def plan(step):
        return _train_rows(step * batch_size + rows, len(records), seed, cached)

    return _batches(
        records, labels, spec, plan, range(start_step, num_steps), len(rows), training=True
    )


def eval_batches(
    records: Sequence[Record],
    classes: Sequence[str],
    spec: ClipSpec,
    *,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Each clip once, in list order, this process's rows of each batch; the last one is padded (mask 0, id -1).

    The number of batches and their shape are the same for every process. A record without a label has label -1 (and
    mask 1). Raises DataError, as train_batches does.
    """
    labels = label_indices(records, classes)
    rows = _local_rows(batch_size, process_index, process_count)

    def plan(step):
        clips = step * batch_size + rows
        clips = clips[clips < len(records)]
        return clips, np.zeros(len(clips), np.uint32)

    steps = range(-(-len(records) // batch_size))
    return _batches(records, labels, spec, plan, steps, len(rows), training=False)


def train_clips(step: int, num_clips: int, *, seed: int, batch_size: int) -> np.ndarray:
    """The clips of a step over all processes, int64 [batch_size]: what clips.log hashes (sampling.log_hash)."""
    positions = step * batch_size + np.arange(batch_size)
    return _train_rows(positions, num_clips, seed, functools.partial(sampling.permutation, seed))[0]


def label_indices(records: Sequence[Record], classes: Sequence[str]) -> np.ndarray:
    """int32 [len(records)]: the index of each record's label, by name; -1 where it has none."""
    if not records:
        raise DataError(
            "There are no clips: the list is empty, or every clip in it is quarantined."
        )
    index = {name: i for i, name in enumerate(classes)} | {"": -1}
    unknown = next((record for record in records if record.label not in index), None)
    if unknown is not None:
        raise DataError(
            f"Clip {unknown.id} has label {unknown.label!r}, which is not among the {len(classes)} classes."
            f"{did_you_mean(unknown.label, classes)}"
        )
    return np.array([index[record.label] for record in records], np.int32)


def _train_rows(
    positions: np.ndarray, num_clips: int, seed: int, permutation: Callable[[int, int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Clips and draws at positions of the endless order of training, epoch after epoch."""
    clips = np.empty(len(positions), np.int64)
    draws = np.empty(len(positions), np.uint32)
    epochs, places = np.divmod(positions, num_clips)
    for epoch in np.unique(epochs).tolist():
        here = epochs == epoch
        clips[here] = permutation(epoch, num_clips)[places[here]]
        draws[here] = sampling.draws(seed, epoch, clips[here])
    return clips, draws


def _local_rows(batch_size: int, process_index: int, process_count: int) -> np.ndarray:
    if batch_size < 1 or batch_size % process_count:
        raise DataError(
            f"batch_size is {batch_size}; it is a positive multiple of the {process_count} processes."
        )
    local = batch_size // process_count
    return process_index * local + np.arange(local)


def _dataset(
    records: Sequence[Record], spec: ClipSpec, plan: Plan, steps: range, local: int, training: bool
):
    """tf.data.Dataset of (clips int32 [n], draws uint32 [n], video uint8 [n, T, H, W, 3]), n = local but at the end."""
    tf = decode.import_tensorflow()
    threads = spec.decode_threads or os.cpu_count() or 1

    def plan_step(step):
        clips, draws = plan(int(step))
        paths = np.empty((len(clips), spec.num_frames), object)
        for row, (clip, draw) in enumerate(zip(clips.tolist(), draws.tolist(), strict=True)):
            paths[row] = [
                os.fsencode(path)
                for path in frame_paths(records[clip], spec, draw if training else None)
            ]
        return clips.astype(np.int32), draws, paths

    def plan_graph(step):
        clips, draws, paths = tf.numpy_function(plan_step, [step], [tf.int32, tf.uint32, tf.string])
        return (
            tf.ensure_shape(clips, [None]),
            tf.ensure_shape(draws, [None]),
            tf.ensure_shape(paths, [None, spec.num_frames]),
        )

    def choose_box(height, width, draw):
        box = box_of(spec, int(height), int(width), int(draw) if training else None)
        return np.array(box, np.int32)

    def decode_graph(clip, draw, paths):
        def box(height, width):
            return tf.ensure_shape(
                tf.numpy_function(choose_box, [height, width, draw], tf.int32), [4]
            )

        return clip, draw, decode.decode_clip(paths, spec.num_frames, box, spec.size)

    options = tf.data.Options()
    options.deterministic = True
    # its own pool, one thread an operation: XLA's threads keep the cores that decoding leaves
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    dataset = tf.data.Dataset.range(steps.start, steps.stop).map(plan_graph).prefetch(1).unbatch()
    return (
        dataset.map(decode_graph, num_parallel_calls=threads)
        .batch(local)
        .prefetch(2)
        .with_options(options)
    )


def _batches(
    records: Sequence[Record],
    labels: np.ndarray,
    spec: ClipSpec,
    plan: Plan,
    steps: range,
    local: int,
    training: bool,
) -> Iterator[Batch]:
    tf = decode.import_tensorflow()
    iterator = iter(_dataset(records, spec, plan, steps, local, training))
    for step in steps:
        # only the end of an evaluation leaves a process without clips: the dataset has no batch for it
        if not len(plan(step)[0]):
            yield _pad(
                np.zeros(0, np.int32), np.zeros(0, np.uint32), labels, _no_video(spec), local
            )
            continue
        try:
            clips, draws, video = (tensor.numpy() for tensor in next(iterator))
        except tf.errors.OpError as error:
            raise _blame(error, records, spec, plan(step), training) from error
        yield _pad(clips, draws, labels, video, local)


def _no_video(spec: ClipSpec) -> np.ndarray:
    return np.zeros((0, spec.num_frames, spec.size, spec.size, 3), np.uint8)


def _pad(
    clips: np.ndarray, draws: np.ndarray, labels: np.ndarray, video: np.ndarray, local: int
) -> Batch:
    """The batch of these clips, filled up to `local` rows."""
    missing = local - len(clips)
    batch = {
        "video": video,
        "label": labels[clips],
        "mask": np.ones(len(clips), np.float32),
        "id": clips,
        "draw": draws,
    }
    if missing:
        fill = {"id": -1}
        batch = {
            key: np.concatenate(
                [value, np.full((missing, *value.shape[1:]), fill.get(key, 0), value.dtype)]
            )
            for key, value in batch.items()
        }
    return batch


def _blame(
    error: Exception,
    records: Sequence[Record],
    spec: ClipSpec,
    planned: tuple[np.ndarray, np.ndarray],
    training: bool,
) -> DataError:
    """The DataError that names the clip and file behind a failed batch: the graph's own error names neither."""
    for clip, draw in zip(planned[0].tolist(), planned[1].tolist(), strict=True):
        paths = frame_paths(records[clip], spec, draw if training else None)
        reason = decode.explain(paths)
        if reason:
            return DataError(
                f"Clip {records[clip].id} in {records[clip].path} cannot be decoded: {reason}.\n"
                "Restore the file, or take the clip out of its list; if frames were removed since they were listed,\n"
                "remove the index in data.cache_dir."
            )
    # every file reads now: a storage that came back, or a fault that is not the data's
    return DataError(
        f"A batch could not be read, though its files can be now: {str(error).splitlines()[0][:300]}"
    )
