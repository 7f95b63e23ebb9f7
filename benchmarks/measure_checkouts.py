"""Two checkouts of vidjax measured: a row for each at one step of one target."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.checkout_process import CheckoutProcess
from benchmarks.targets import Target
from benchmarks.timing import in_turn

log = logging.getLogger("vidjax")

STEPS = ("forward", "train")


@dataclass(frozen=True)
class CheckoutRow:
    """One checkout at one step of one target."""

    network: str
    clip: str
    precision: str
    step: str
    checkout: str  # its folder
    seconds: float  # the median of the samples
    spread: float  # see `Contestant.spread`
    samples: list[float]
    ratio: float  # its median over that of the first checkout


def measure(
    checkouts: Sequence[CheckoutProcess], target: Target, step: str, *, rounds: int
) -> list[CheckoutRow]:
    """A row for each checkout; they take turns. Raises WorkerError.

    The first is the one that the others are compared with.
    """
    title = f"{target.title} {step}"
    contestants = []
    for checkout in checkouts:
        log.info("%s: %s compiles", title, checkout.folder)
        contestants.append(checkout.network(target, step))
    log.info("%s: %d rounds", title, rounds)
    in_turn(contestants, rounds=rounds)
    rows = []
    for one in contestants:
        one.close()
        rows.append(
            CheckoutRow(
                network=target.name,
                clip=target.size,
                precision=target.precision,
                step=step,
                checkout=one.name,
                seconds=one.seconds,
                spread=one.spread,
                samples=one.samples,
                ratio=one.seconds / contestants[0].seconds,
            )
        )
    return rows
