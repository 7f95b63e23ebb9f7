"""Networks measured: a row for each contestant at one step of one target."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import jax_networks, torch_networks
from benchmarks.contest import Contest
from benchmarks.jax_networks import OURS, PLAIN
from benchmarks.targets import NUM_CLASSES, Target
from benchmarks.timing import Contestant, in_turn, over_best
from benchmarks.torch_process import WorkerError

log = logging.getLogger("vidjax")

# A step in forward passes: each of the two gradients takes as many multiply-adds as one.
PASSES = {"forward": 1, "train": 3, "remat": 3}


@dataclass(frozen=True)
class Row:
    """One contestant at one step of one target."""

    network: str
    clip: str
    precision: str
    step: str
    contestant: str
    parameters: int
    multiply_adds: int  # of the forward pass of the whole batch
    seconds: float  # the median of the samples
    spread: float  # see `Contestant.spread`
    samples: list[float]
    clips_per_second: float
    gflops: float
    mfu: float  # 0..1, of the machine's rate in matrix products
    over_torch: float | None  # time over that of PyTorch's best
    memory: int | None  # bytes
    memory_by: str  # device, compiler, or '' where it is not known
    compile_cold: float | None  # seconds
    compile_warm: float | None


def measure(contest: Contest, target: Target, step: str) -> list[Row]:
    """Ours, plain Flax and PyTorch, as far as they take part."""
    title = f"{target.title} {step}"
    state = jax_networks.initial_state(target)
    names = [OURS]
    if "flax" in contest.against:
        names.append(PLAIN)
    contestants = []
    for name in names:
        log.info("%s: %s compiles", title, name)
        contestants.append(jax_networks.contestant(name, target, step, state=state))
    torchs = _torch_contestants(contest, target, step)
    contestants += torchs

    log.info("%s: %d rounds of %d contestants", title, contest.rounds, len(contestants))
    in_turn(contestants, rounds=contest.rounds)
    rows = [_row(contest, target, step, one=one, torchs=torchs) for one in contestants]
    # Asked last, as it computes once more.
    for one in contestants:
        if not one.is_finite():
            contest.note(f"{title} by {one.name}: not all numbers are finite.")
    for one in torchs:
        one.close()
    return rows


def _torch_contestants(contest: Contest, target: Target, step: str) -> list[Contestant]:
    """PyTorch's contestants, once their network is known to be the same one.

    What stands against them becomes a note.
    """
    if contest.torch is None:
        return []
    # Other settings than the variant's are another network.
    if target.variant not in torch_networks.NETWORKS or target.fields:
        contest.note(f"{target.name}: the benchmarks have no PyTorch network of that kind.")
        return []
    title = f"{target.title} {step}"
    network = {"variant": target.variant, "clip": target.clip, "num_classes": NUM_CLASSES}
    contestants = []
    try:
        # A comparison is worth nothing unless both have the same layers.
        theirs = contest.torch.ask(do="counts", **network)
        ours = {"parameters": target.num_parameters, "multiply_adds": target.multiply_adds}
        if theirs != ours:
            contest.note(f"{title}: PyTorch's network is another one, {theirs} against {ours}.")
            return []
        for name, way in contest.torch.ways():
            log.info("%s: %s starts", title, name)
            one = contest.torch.contestant(
                name,
                "network",
                step="forward" if step == "forward" else "train",  # it has no remat
                precision=target.precision,
                **network,
                **way,
            )
            contestants.append(one)
    except WorkerError as error:
        contest.note(f"{title}: PyTorch stopped: {error}.")
    return contestants


def _row(
    contest: Contest,
    target: Target,
    step: str,
    *,
    one: Contestant,
    torchs: Sequence[Contestant],
) -> Row:
    operations = 2 * PASSES[step] * target.multiply_adds
    rate = operations / one.seconds
    facts = one.facts
    compile_cold = facts.get("compile_cold")
    if facts.get("compiled"):
        compile_cold = facts["first"]  # PyTorch compiles in its first call
    return Row(
        network=target.name,
        clip=target.size,
        precision=target.precision,
        step=step,
        contestant=one.name,
        parameters=target.num_parameters,
        multiply_adds=target.multiply_adds,
        seconds=one.seconds,
        spread=one.spread,
        samples=one.samples,
        clips_per_second=target.clip[0] / one.seconds,
        gflops=rate / 1e9,
        mfu=rate / contest.machine.best_product(target.precision),
        over_torch=over_best(one, torchs),
        memory=facts.get("memory"),
        memory_by=facts.get("memory_by", ""),
        compile_cold=compile_cold,
        compile_warm=facts.get("compile_warm"),
    )
