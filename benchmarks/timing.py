"""Who is fastest: contestants take turns within one process, round by round, each after each other one.

What disturbs a machine disturbs all of them then, and ratios within a round say more than times of different minutes.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

MAX_CALLS = 100  # in one turn
PAUSE = 0.02  # seconds between turns: threads that spin for work stop


@dataclass
class Contestant:
    """Somebody with a way to do the same work: turn(calls) -> seconds of so many calls, all of them finished."""

    name: str
    turn: Callable[[int], float]
    facts: dict[str, Any] = field(default_factory=dict)  # what is known beside the time
    samples: list[float] = field(default_factory=list)  # seconds of one call, a round each
    is_finite: Callable[[], bool] = lambda: True  # of what one more call gives
    close: Callable[[], None] = lambda: None

    @property
    def seconds(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half of what lies between the slowest and the quickest round, as a share of the median."""
        return (max(self.samples) - min(self.samples)) / 2 / self.seconds


def in_turn(contestants: Sequence[Contestant], *, rounds: int, at_least: float = 0.5) -> None:
    """Fills `samples`: a warm-up each, then `rounds` turns each of `at_least` seconds, in an order that rotates.

    A turn starts with a call that is not timed: it meets caches and memory as others left them, in a run as its own.
    """
    calls = []
    for one in contestants:
        one.turn(1)
        calls.append(min(MAX_CALLS, max(1, round(at_least / max(one.turn(1), 1e-9)))))
    order = list(zip(contestants, calls, strict=True))
    for number in range(rounds):
        first = number % len(order) if order else 0
        for one, count in order[first:] + order[:first]:
            time.sleep(PAUSE)
            one.turn(1)
            one.samples.append(one.turn(count) / count)


def over_best(one: Contestant, others: Sequence[Contestant]) -> float | None:
    """The median over the rounds of its time over that of the best of the others, best by their medians."""
    if not others:
        return None
    best = min(others, key=lambda other: other.seconds)
    return statistics.median(a / b for a, b in zip(one.samples, best.samples, strict=True))


def make_turn(call: Callable[[], Any]) -> Callable[[int], float]:
    """turn(calls) of a call that returns JAX arrays.

    A GPU is given all calls at once, as PyTorch gives them to it; on a CPU calls that do not need each other would run
    at the same time, so each is waited for.
    """
    each = jax.default_backend() == "cpu"

    def turn(calls):
        out = None
        began = time.perf_counter()
        for _ in range(calls):
            out = call()
            if each:
                jax.block_until_ready(out)
        jax.block_until_ready(out)
        return time.perf_counter() - began

    return turn
