"""A target through all contestants: rows of what came out, for networks and for the convolutions in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks import convolutions, networks, torch_networks
from benchmarks.convolutions import Convolution
from benchmarks.networks import OURS, PLAIN
from benchmarks.targets import NUM_CLASSES, Target
from benchmarks.timing import Contestant, in_turn, over_best
from benchmarks.torch_side import TorchError, TorchSide, ways
from vidjax.ops.conv.rule import FORMS

PASSES = {"forward": 1, "train": 3, "remat": 3}  # two gradients, each as dear as the forward pass
SHORT_TURN = 0.05  # seconds: of a convolution


@dataclass(frozen=True)
class Row:
    """One contestant at one step of one target; `seconds` is the median of `samples`, `mfu` a share of 1."""

    network: str
    clip: str
    precision: str
    step: str
    contestant: str
    parameters: int
    multiply_adds: int  # of the whole batch, forward
    seconds: float
    spread: float
    samples: list[float]
    clips_per_second: float
    gflops: float
    mfu: float
    over_torch: float | None  # time over PyTorch's best
    memory: int | None  # bytes
    memory_by: str
    compile_cold: float | None
    compile_warm: float | None


@dataclass(frozen=True)
class ConvolutionRow:
    """One convolution of a target; `seconds` are medians by contestant."""

    network: str
    clip: str
    precision: str
    step: str
    name: str
    count: int
    convolution: Convolution
    multiply_adds: int  # of one, forward
    num_bytes: int
    form: str  # what "auto" picked
    seconds: dict[str, float]
    samples: dict[str, list[float]]
    rate: float  # of "auto", operations a second
    ceiling: float  # by matrix products and memory, forward


@dataclass
class Bench:
    """How everything is measured: the rounds, the ceilings, who else runs, and whom to tell."""

    rounds: int
    products: dict[str, float]  # precision: operations a second of a matrix product
    bytes_per_second: float
    against: Sequence[str]
    torch: TorchSide | None
    device: str  # PyTorch's
    tell: Callable[[str], None]
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Something that the reader of the table has to know, once."""
        if text not in self.notes:
            self.notes.append(text)


def measure_network(bench: Bench, target: Target, step: str) -> list[Row]:
    """Ours, plain Flax and PyTorch, as far as `against` and the machine have them."""
    state = networks.initial_state(target)
    contestants = []
    for name in [OURS, *([PLAIN] if "flax" in bench.against else [])]:
        bench.tell(f"{target.name} {target.size} {target.precision} {step}: {name} compiles")
        contestants.append(networks.contestant(name, target, step, state))
    others = _torch_networks(bench, target, step)
    contestants += others
    bench.tell(
        f"{target.name} {target.size} {target.precision} {step}: {bench.rounds} rounds of {len(contestants)}"
    )
    in_turn(contestants, rounds=bench.rounds)
    rows = [_row(bench, target, step, one, others) for one in contestants]
    for one in contestants:
        if not one.is_finite():
            where = f"{target.name} {target.size} {target.precision} {step}"
            bench.note(f"{where} by {one.name}: not all numbers are finite.")
    for one in others:
        one.close()
    return rows


def _torch_networks(bench: Bench, target: Target, step: str) -> list[Contestant]:
    """PyTorch's contestants, checked to be the same network; what stands against them becomes a note."""
    if bench.torch is None:
        return []
    # how our convolutions are lowered makes no other network
    if target.variant not in torch_networks.NETWORKS or any(
        key != "lowering" for key, _ in target.fields
    ):
        bench.note(f"{target.name}: the bench has no PyTorch network of that kind.")
        return []
    words = {"variant": target.variant, "clip": target.clip, "num_classes": NUM_CLASSES}
    asked = "forward" if step == "forward" else "train"  # it recomputes nothing
    found = []
    try:
        theirs = bench.torch.ask(do="counts", **words)
        ours = {"parameters": target.num_parameters, "multiply_adds": target.multiply_adds}
        if theirs != ours:
            bench.note(
                f"{target.name} {target.size}: PyTorch's network is another one, {theirs} against {ours}."
            )
            return []
        for name, way in ways(bench.device):
            bench.tell(f"{target.name} {target.size} {target.precision} {step}: {name} starts")
            one = bench.torch.contestant(
                name, "network", step=asked, precision=target.precision, **words, **way
            )
            if way["compiled"]:
                one.facts["compile_cold"] = one.facts["first"]
            found.append(one)
    except TorchError as error:
        bench.note(
            f"{target.name} {target.size} {target.precision} {step}: PyTorch stopped: {error}."
        )
    return found


def _row(bench, target, step, one, others) -> Row:
    operations = 2 * PASSES[step] * target.multiply_adds
    facts = one.facts
    by = facts.get("memory_by", "device" if "memory" in facts else "")
    return Row(
        target.name,
        target.size,
        target.precision,
        step,
        one.name,
        target.num_parameters,
        target.multiply_adds,
        one.seconds,
        one.spread,
        one.samples,
        target.clip[0] / one.seconds,
        operations / one.seconds / 1e9,
        operations / one.seconds / bench.products[target.precision],
        over_best(one, others),
        facts.get("memory"),
        by,
        facts.get("compile_cold"),
        facts.get("compile_warm"),
    )


def measure_convolutions(
    bench: Bench, target: Target, *, steps: Sequence[str], every: bool
) -> list[ConvolutionRow]:
    """Each distinct convolution of a target: as "auto" lowers it, forward; with `every` all lowerings, all `steps`."""
    rows, found = [], convolutions.collect(target)
    for number, (one, count) in enumerate(found, start=1):
        bench.tell(
            f"{target.name} {target.size} {target.precision}: convolution {number} of {len(found)}, {one.name}"
        )
        for step in steps if every else ("forward",):
            same = convolutions.same_as_picked(one, step, target.precision)
            lowerings = dict.fromkeys([same or "auto", *(FORMS if every else ())])
            words = {"precision": target.precision, "step": step}
            contestants = [
                convolutions.contestant(one, lowering, **words) for lowering in lowerings
            ]
            others = _torch_convolutions(bench, one, target.precision, step) if every else []
            in_turn([*contestants, *others], rounds=bench.rounds, at_least=SHORT_TURN)
            rows.append(_convolution_row(bench, target, step, one, count, [*contestants, *others]))
            for other in others:
                other.close()
    return rows


def _torch_convolutions(bench, one, precision, step) -> list[Contestant]:
    words = convolutions.for_torch(one)
    if bench.torch is None or words is None:
        return []
    found = []
    try:
        for name, way in ways(bench.device):
            if not way["compiled"]:
                more = {"step": step, "precision": precision}
                found.append(bench.torch.contestant(name, "convolution", **words, **more, **way))
    except TorchError as error:
        bench.note(f"{one.name}, {precision}: PyTorch stopped: {error}.")
    return found


def _convolution_row(bench, target, step, one, count, contestants) -> ConvolutionRow:
    by_name = {c.name: c for c in contestants}
    same = convolutions.same_as_picked(one, step, target.precision)
    by_name = {"auto": by_name.get(same) or by_name["auto"], **by_name}
    auto = by_name["auto"]
    num_bytes = one.num_bytes(convolutions.itemsize(target.precision))
    by_memory = 2 * one.multiply_adds / num_bytes * bench.bytes_per_second
    return ConvolutionRow(
        target.name,
        target.size,
        target.precision,
        step,
        one.name,
        count,
        one,
        one.multiply_adds,
        num_bytes,
        convolutions.picked(one, target.precision),
        {name: c.seconds for name, c in by_name.items()},
        {name: c.samples for name, c in by_name.items()},
        2 * PASSES[step] * one.multiply_adds / auto.seconds,
        min(bench.products[target.precision], by_memory),
    )
