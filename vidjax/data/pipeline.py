"""Records become batches: order, frames and crops in NumPy; reading and prefetching in tf.data.

Position p = step * batch_size + row is clip permutation(seed, p // n)[p % n] of epoch p // n, for
n clips. So a batch may straddle two epochs, no clip is dropped, and resuming is starting at another
step. Process k of K takes the k-th run of batch_size / K rows of each batch.

The pipeline knows neither pixels on disk nor labels: `data.readers` read the former, and the task
hands in `encode` for the latter.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidjax.core.errors import DataError
from vidjax.core.machine import num_cores
from vidjax.data import arrays, readers, sampling
from vidjax.data.clips import ClipSpec, choose_box, choose_positions
from vidjax.data.encoding import Encode, encode_clips, encode_none
from vidjax.data.flow import FlowReader
from vidjax.data.lazy_tensorflow import import_tensorflow
from vidjax.data.records import Record

Batch = dict[str, np.ndarray]

# plan(step) -> (clips int64 [n], draws uint32 [n]): positions in the list of records, and the seeds
# of their random choices, for the rows of this process that hold a clip.
Plan = Callable[[int], tuple[np.ndarray, np.ndarray]]


def train_batches(
    records: Sequence[Record],
    spec: ClipSpec,
    *,
    encode: Encode,
    seed: int,
    batch_size: int,
    start_step: int,
    num_steps: int,
    flow: FlowReader | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Yields the batches of steps start_step .. num_steps - 1; close() ends the threads behind it.

    Raises DataError where there are no records or the processes cannot share a batch, and from
    next() where a frame is bad.

    Args:
        records: the training clips. Their order is a part of the random order of the run.
        spec: which frames, which crop, which size.
        encode: makes the label of a clip (see data.encoding); called in this process, once for
            each row.
        seed: of the order of clips and of all draws.
        batch_size: clips in a batch, over all processes.
        start_step: 0, or the step at which the run is resumed.
        num_steps: steps of the whole run.
        flow: reads the optical flow that a batch carries beside the video; None for no flow.
        process_index: which of the processes this is.
        process_count: how many processes share each batch.
    """
    _require_records(records)
    rows = _rows_of_process(batch_size, process_index, process_count)
    # A batch may straddle two epochs: the orders of both are kept.
    permutation = functools.lru_cache(maxsize=2)(functools.partial(sampling.permutation, seed))

    def plan(step: int) -> tuple[np.ndarray, np.ndarray]:
        positions = step * batch_size + rows
        return _clips_and_draws(positions, len(records), seed=seed, permutation=permutation)

    return _batches(
        _Stream(
            records=records,
            spec=spec,
            encode=encode,
            flow=flow,
            plan=plan,
            steps=range(start_step, num_steps),
            num_rows=len(rows),
            training=True,
        )
    )


def eval_batches(
    records: Sequence[Record],
    spec: ClipSpec,
    *,
    encode: Encode,
    batch_size: int,
    flow: FlowReader | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Yields every clip once, in the order of the list; padding (mask 0) fills up the last batch.

    The number of batches and their shapes are the same for every process. Arguments and errors are
    those of train_batches.
    """
    _require_records(records)
    rows = _rows_of_process(batch_size, process_index, process_count)

    def plan(step: int) -> tuple[np.ndarray, np.ndarray]:
        clips = step * batch_size + rows
        clips = clips[clips < len(records)]
        return clips, np.zeros(len(clips), np.uint32)

    num_batches = _divide_up(len(records), batch_size)
    # The last batch may end before the rows of this process begin: it has padding only.
    num_with_clips = _divide_up(len(records) - int(rows[0]), batch_size)
    return _batches(
        _Stream(
            records=records,
            spec=spec,
            encode=encode,
            flow=flow,
            plan=plan,
            steps=range(num_with_clips),
            num_rows=len(rows),
            training=False,
            num_padding_batches=num_batches - num_with_clips,
        )
    )


def train_clips(step: int, num_clips: int, *, seed: int, batch_size: int) -> np.ndarray:
    """The clips of a training step over all processes, int64 [batch_size]; clips.log has them."""
    positions = step * batch_size + np.arange(batch_size)
    permutation = functools.partial(sampling.permutation, seed)
    clips, _ = _clips_and_draws(positions, num_clips, seed=seed, permutation=permutation)
    return clips


@dataclass(frozen=True)
class _Stream:
    """What one iterator of batches is made from.

    Args:
        records, spec, encode, flow: as for train_batches.
        plan: the clips of each step.
        steps: those in which this process has clips, in order.
        num_rows: rows of a batch in this process.
        training: whether frames and crops follow the draws.
        num_padding_batches: batches without a clip of this process, after all others.
    """

    records: Sequence[Record]
    spec: ClipSpec
    encode: Encode
    plan: Plan
    steps: range
    num_rows: int
    training: bool
    num_padding_batches: int = 0
    flow: FlowReader | None = None

    @property
    def num_threads(self) -> int:
        """Threads that read and decode."""
        return self.spec.decode_threads or num_cores()

    def positions(self, clip: int, draw: int) -> np.ndarray:
        """The frames to read of a clip, int32 [T]."""
        num_frames = self.records[clip].media.num_frames
        return choose_positions(self.spec, num_frames, draw=self._draw_or_none(draw))

    def box(self, height: int, width: int, *, draw: int) -> np.ndarray:
        """The crop of a frame of height x width pixels, int32 [4]."""
        return np.array(
            choose_box(self.spec, height, width, draw=self._draw_or_none(draw)), np.int32
        )

    def _draw_or_none(self, draw: int) -> int | None:
        """Evaluation has a draw of 0 in its batches, but chooses without one."""
        if self.training:
            return draw
        return None


def _require_records(records: Sequence[Record]) -> None:
    if not records:
        raise DataError(
            "There are no clips: the list is empty, or every clip in it is quarantined."
        )


def _rows_of_process(batch_size: int, process_index: int, process_count: int) -> np.ndarray:
    """The rows of a global batch that belong to a process, int64 [batch_size / process_count]."""
    if batch_size < 1 or batch_size % process_count:
        raise DataError(
            f"batch_size is {batch_size}; "
            f"it is a positive multiple of the {process_count} processes."
        )
    num_rows = batch_size // process_count
    return process_index * num_rows + np.arange(num_rows)


def _divide_up(count: int, size: int) -> int:
    """How many groups of `size` hold `count` things."""
    return -(-count // size)


def _clips_and_draws(
    positions: np.ndarray,
    num_clips: int,
    *,
    seed: int,
    permutation: Callable[[int, int], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Clips int64 [n] and draws uint32 [n] at positions [n] of the endless order of training.

    `permutation(epoch, num_clips)` is the order of the clips in an epoch.
    """
    clips = np.empty(len(positions), np.int64)
    draws = np.empty(len(positions), np.uint32)
    epochs, places = np.divmod(positions, num_clips)
    # A batch that is larger than the data set holds more than two epochs.
    for epoch in np.unique(epochs).tolist():
        in_epoch = epochs == epoch
        clips[in_epoch] = permutation(epoch, num_clips)[places[in_epoch]]
        draws[in_epoch] = sampling.draws(seed, epoch, clips[in_epoch])
    return clips, draws


def _batches(stream: _Stream) -> Iterator[Batch]:
    """Yields the batches of a stream, with their labels."""
    reader = readers.reader_for(stream.records)
    if hasattr(reader, "read_array"):  # arrays need no graph that decodes, samples and crops
        for batch in arrays.batches(stream, reader.read_array):
            yield _pad(batch, stream.num_rows)
        return
    tf = import_tensorflow()
    elements = iter(_dataset(stream))
    # The pool starts its threads when masks or flow are first read.
    with ThreadPoolExecutor(stream.num_threads, "truth") as pool:
        for step in stream.steps:
            try:
                element = next(elements)
            except tf.errors.OpError as error:
                raise _explained(error, stream, step) from error
            clips = element["clip"].numpy()
            label = encode_clips(
                stream.encode,
                [stream.records[clip] for clip in clips],
                positions=element["positions"].numpy(),
                boxes=element["box"].numpy(),
                size=stream.spec.size,
                pool=pool,
            )
            batch = {
                "video": element["video"].numpy(),
                **_flow(stream, element, pool),
                "label": label,
                "mask": np.ones(len(clips), np.float32),
                "id": clips,
                "draw": element["draw"].numpy(),
            }
            yield _pad(batch, stream.num_rows)
    for _ in range(stream.num_padding_batches):
        yield _pad(_empty_batch(stream), stream.num_rows)


def _flow(stream: _Stream, element: Any, pool: Executor) -> Batch:
    """{"flow": uint8 [n, T, size, size, C]} of the clips of a batch; {} where none is asked for."""
    if stream.flow is None:
        return {}

    def read(row: tuple) -> np.ndarray:
        clip, positions, box = row
        record = stream.records[clip]
        return stream.flow.read(record, positions, box=tuple(box.tolist()), size=stream.spec.size)

    rows = zip(*(element[key].numpy() for key in ("clip", "positions", "box")), strict=True)
    return {"flow": np.stack(list(pool.map(read, rows)))}


def _dataset(stream: _Stream) -> Any:
    """A tf.data.Dataset of batches without labels, each a dict of tensors.

    clip int32 [n], draw uint32 [n], positions int32 [n, T], box int32 [n, 4] and video uint8
    [n, T, H, W, 3]. The graph gets whole steps, each planned in one call of Python, and splits them
    into clips, which it reads in parallel and keeps in order.
    """
    tf = import_tensorflow()
    spec = stream.spec
    reader = readers.reader_for(stream.records)
    threads = stream.num_threads

    def plan_step(step):
        clips, draws = stream.plan(int(step))
        positions = []
        requests = []
        for clip, draw in zip(clips.tolist(), draws.tolist(), strict=True):
            positions.append(stream.positions(clip, draw))
            requests.append(reader.request(stream.records[clip].media, positions[-1]))
        return clips.astype(np.int32), draws, np.stack(positions), np.array(requests, object)

    def plan_graph(step):
        types = [tf.int32, tf.uint32, tf.int32, tf.string]
        clips, draws, positions, requests = tf.numpy_function(plan_step, [step], types)
        # A graph does not know the shapes of what NumPy returns.
        return {
            "clip": tf.ensure_shape(clips, [None]),
            "draw": tf.ensure_shape(draws, [None]),
            "positions": tf.ensure_shape(positions, [None, spec.num_frames]),
            "request": tf.ensure_shape(requests, [None, None]),
        }

    def read_graph(row):
        def box_of_frame(height, width):
            # The size of the frames is known only once the header of the first one is read.
            box = tf.numpy_function(box_in_numpy, [height, width, row["draw"]], tf.int32)
            return tf.ensure_shape(box, [4])

        video, box = reader.read(
            row["request"], num_frames=spec.num_frames, choose_box=box_of_frame, size=spec.size
        )
        return {
            "clip": row["clip"],
            "draw": row["draw"],
            "positions": row["positions"],
            "box": box,
            "video": video,
        }

    def box_in_numpy(height, width, draw):
        return stream.box(int(height), int(width), draw=int(draw))

    options = tf.data.Options()
    options.deterministic = True  # clips keep the order of the plan, however long each takes
    # A thread pool of the dataset's own, with one thread for each operation, leaves the other cores
    # to XLA.
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    dataset = tf.data.Dataset.range(stream.steps.start, stream.steps.stop)
    # Plan one step ahead, while the clips of this one are read.
    dataset = dataset.map(plan_graph).prefetch(1).unbatch()
    dataset = dataset.map(read_graph, num_parallel_calls=threads)
    return dataset.batch(stream.num_rows).prefetch(2).with_options(options)


def _empty_batch(stream: _Stream) -> Batch:
    """A batch of no rows, whose arrays have the types of all others."""
    spec = stream.spec
    label = encode_none(
        stream.encode, stream.records[0], positions=stream.positions(0, 0), size=spec.size
    )
    shape = (0, spec.num_frames, spec.size, spec.size)
    flow = {}
    if stream.flow is not None:
        flow["flow"] = np.zeros((*shape, 2 * stream.flow.num_fields), np.uint8)
    return {
        "video": np.zeros((*shape, 3), np.uint8),
        **flow,
        "label": label,
        "mask": np.zeros(0, np.float32),
        "id": np.zeros(0, np.int32),
        "draw": np.zeros(0, np.uint32),
    }


def _pad(batch: Batch, num_rows: int) -> Batch:
    """The batch, filled up to `num_rows` rows with zeros, and with -1 for the id."""
    num_clips = len(batch["mask"])
    if num_clips == num_rows:
        return batch
    padded = {}
    for key, value in batch.items():
        padding = np.zeros((num_rows - num_clips, *value.shape[1:]), value.dtype)
        if key == "id":
            padding -= 1
        padded[key] = np.concatenate([value, padding])
    return padded


def _explained(error: Exception, stream: _Stream, step: int) -> DataError:
    """The DataError that names the clip and the file behind an error of the graph at a step."""
    reader = readers.reader_for(stream.records)
    clips, draws = stream.plan(step)
    for clip, draw in zip(clips.tolist(), draws.tolist(), strict=True):
        record = stream.records[clip]
        reason = reader.explain(record.media, stream.positions(clip, draw))
        if reason:
            return DataError(
                f"Clip {record.id} in {record.media.location} cannot be decoded: {reason}.\n"
                "Restore the file, or take the clip out of its list; if frames were removed since "
                "they were listed,\nremove the index in data.cache_dir."
            )
    # Every file can be read now: the storage came back, or the fault is not in the data.
    first_line = str(error).splitlines()[0]
    return DataError(f"A batch could not be read, though its files can be now: {first_line[:300]}")
