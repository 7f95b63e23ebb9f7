"""Convolutions measured: a row for each distinct one of a target, at one step."""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import jax_convolutions
from benchmarks.contest import Contest
from benchmarks.jax_convolutions import LOWERINGS, Convolution
from benchmarks.measure_networks import PASSES
from benchmarks.targets import Target
from benchmarks.timing import Contestant, in_turn
from benchmarks.torch_process import WorkerError

log = logging.getLogger("vidjax")

SECONDS = 0.05  # of a turn: a convolution takes milliseconds


@dataclass(frozen=True)
class ConvolutionRow:
    """One convolution of a target, as everybody computes it."""

    network: str
    clip: str
    precision: str
    step: str
    name: str
    count: int  # how often the network has it
    convolution: Convolution
    multiply_adds: int  # of one forward pass
    num_bytes: int  # see `Convolution.num_bytes`
    form: str  # the lowering that "auto" picked
    seconds: dict[str, float]  # contestant -> median; "auto" is among them
    samples: dict[str, list[float]]
    rate: float  # of "auto", operations a second
    ceiling: float  # of the forward pass, by matrix products and memory, operations a second


def measure(
    contest: Contest, target: Target, *, steps: Sequence[str], every: bool
) -> list[ConvolutionRow]:
    """Each distinct convolution of a target at each of the steps, "forward" and "train".

    As "auto" lowers it, and with `every` in each lowering and by PyTorch as well.
    """
    rows = []
    convolutions = jax_convolutions.collect(target)
    for number, (one, count) in enumerate(convolutions, start=1):
        log.info("%s: convolution %d of %d, %s", target.title, number, len(convolutions), one.name)
        for step in steps:
            contestants = _contestants(one, target, step, every=every)
            torchs = _torch_contestants(contest, one, target, step=step) if every else []
            in_turn([*contestants, *torchs], rounds=contest.rounds, at_least=SECONDS)
            by_name = {contestant.name: contestant for contestant in [*contestants, *torchs]}
            rows.append(_row(contest, target, step, one=one, count=count, by_name=by_name))
            for contestant in torchs:
                contestant.close()
    return rows


def _contestants(one: Convolution, target: Target, step: str, *, every: bool) -> list[Contestant]:
    """Ours: "auto", or the lowering that it stands for, and with `every` all others."""
    settings = {"precision": target.precision, "step": step}
    # A program that is timed as what "auto" picked need not be timed again as "auto".
    names = [jax_convolutions.same_as_picked(one, **settings) or "auto"]
    if every:
        names += LOWERINGS
    distinct = dict.fromkeys(names)  # a set that keeps the order
    return [jax_convolutions.contestant(one, name, **settings) for name in distinct]


def _torch_contestants(
    contest: Contest, one: Convolution, target: Target, *, step: str
) -> list[Contestant]:
    convolution = jax_convolutions.for_torch(one)
    if contest.torch is None or convolution is None:
        return []
    contestants = []
    settings = {**convolution, "step": step, "precision": target.precision}
    try:
        for name, way in contest.torch.ways():
            if not way["compiled"]:  # a single operation gains nothing from it
                made = contest.torch.contestant(name, "convolution", **settings, **way)
                contestants.append(made)
    except WorkerError as error:
        contest.note(f"{one.name}, {target.precision}: PyTorch stopped: {error}.")
    return contestants


def _row(
    contest: Contest,
    target: Target,
    step: str,
    *,
    one: Convolution,
    count: int,
    by_name: dict[str, Contestant],
) -> ConvolutionRow:
    if "auto" not in by_name:
        same = jax_convolutions.same_as_picked(one, precision=target.precision, step=step)
        by_name = {"auto": by_name[same], **by_name}
    num_bytes = one.num_bytes(jax_convolutions.itemsize(target.precision))
    of_memory = 2 * one.multiply_adds / num_bytes * contest.machine.bytes_per_second
    return ConvolutionRow(
        network=target.name,
        clip=target.size,
        precision=target.precision,
        step=step,
        name=one.name,
        count=count,
        convolution=one,
        multiply_adds=one.multiply_adds,
        num_bytes=num_bytes,
        form=jax_convolutions.picked(one, target.precision),
        seconds={name: contestant.seconds for name, contestant in by_name.items()},
        samples={name: contestant.samples for name, contestant in by_name.items()},
        rate=2 * PASSES[step] * one.multiply_adds / by_name["auto"].seconds,
        ceiling=min(contest.machine.best_product(target.precision), of_memory),
    )


def to_json(row: ConvolutionRow) -> dict[str, Any]:
    """A row for JSON."""
    return {**dataclasses.asdict(row), "convolution": row.convolution.to_json()}
