"""What a network gives at an endpoint, for every clip of a split, in order and once each."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidjax import models
from vidjax.core.errors import UserError
from vidjax.data import pipeline
from vidjax.data.records import Record
from vidjax.experiment.programs import Programs
from vidjax.run import devices

# how to average -> the axes of [N, T, H, W, C] that go
POOLS = {"none": (), "space": (2, 3), "all": (1, 2, 3)}


class Extractor(NamedTuple):
    """A compiled program, and what it gives for one clip."""

    program: Callable  # (variables, batch) -> float32 [N, ...] on every device
    shape: tuple[int, ...]  # without N


def extractor(programs: Programs, variables: Any, *, endpoint: str, pool: str) -> Extractor:
    """The program that gives the features of a batch at an endpoint, averaged as `pool` says.

    Raises UserError for an endpoint that the network does not have, or that cannot be averaged.
    """
    experiment = programs.experiment

    def compute(variables, batch):
        array = models.features(experiment.module, variables, experiment.inputs(batch), endpoint)
        axes = POOLS[pool]
        if axes and array.ndim != 5:
            raise UserError(
                f"The endpoint {endpoint!r} is {array.ndim - 1}-dimensional and has no time and "
                "space to average over. Take --pool none."
            )
        # A mean of many values needs float32, whatever the network computes in.
        return array.astype(jnp.float32).mean(axes) if axes else array.astype(jnp.float32)

    # Traced here, so that a wrong endpoint is told before a clip is read.
    shape = jax.eval_shape(compute, variables, programs.batch_shapes(1)).shape[1:]
    same = devices.replicated(programs.mesh)
    program = jax.jit(
        compute,
        in_shardings=(same, devices.sharded(programs.mesh)),
        out_shardings=same,
        compiler_options=experiment.compiler_options,
    )
    return Extractor(program, shape)


def rows(
    programs: Programs, records: Sequence[Record], program: Callable, *, variables: Any
) -> Iterator[np.ndarray]:
    """Yields float32 [n, ...] until every record has its row, as an evaluation would see it."""
    config = programs.experiment.config
    batches = pipeline.eval_batches(
        records,
        programs.experiment.clips,
        encode=programs.experiment.task.encode,
        flow=programs.experiment.flow,
        batch_size=config.batch_size,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    left = len(records)
    under_way = None
    for batch in batches:
        # The device works on this batch while the one before is taken off it.
        before, under_way = under_way, program(variables, programs.device_batch(batch))
        if before is not None:
            left -= len(before)
            yield jax.device_get(before)
    # Global batches hold the records in order, so the padding is the tail of the last.
    yield jax.device_get(under_way)[:left]
