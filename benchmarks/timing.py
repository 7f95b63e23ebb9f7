"""Contestants take turns within one run, round by round.

Whatever disturbs the machine disturbs all of them then. Ratios within a round say more than times
that lie minutes apart.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

MAX_CALLS = 100  # in one turn
SECONDS = 0.5  # that a turn of a network takes, or more
PAUSE = 0.02  # seconds between turns, in which threads that spin for work go to sleep


@dataclass
class Contestant:
    """One way to do the work that all contestants do."""

    name: str
    turn: Callable[[int], float]  # number of calls -> seconds until all of them have finished
    facts: dict[str, Any] = field(default_factory=dict)  # what is known besides the time
    samples: list[float] = field(default_factory=list)  # seconds of one call, one value a round
    is_finite: Callable[[], bool] = lambda: True  # whether one more call gives finite numbers only
    close: Callable[[], None] = lambda: None  # frees what it holds

    @property
    def seconds(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half the difference of slowest and fastest round, as a share of the median."""
        return (max(self.samples) - min(self.samples)) / 2 / self.seconds


def in_turn(contestants: Sequence[Contestant], *, rounds: int, at_least: float = SECONDS) -> None:
    """Fills `samples`: a warm-up, then `rounds` turns each of `at_least` seconds.

    The order rotates from round to round, so that each contestant comes after each other one.
    """
    pairs = []  # (contestant, calls that fill a turn)
    for one in contestants:
        one.turn(1)  # warm-up
        calls = round(at_least / max(one.turn(1), 1e-9))
        pairs.append((one, min(max(1, calls), MAX_CALLS)))
    for number in range(rounds):
        first = number % len(pairs)
        for one, calls in pairs[first:] + pairs[:first]:
            time.sleep(PAUSE)
            # The first call is not timed: it meets caches and memory as another contestant left
            # them. In a run of its own it would not.
            one.turn(1)
            one.samples.append(one.turn(calls) / calls)


def over_best(one: Contestant, others: Sequence[Contestant]) -> float | None:
    """The median over the rounds of one's time over that of the best of the others.

    The best has the smallest median. None without others.
    """
    if not others:
        return None
    best = min(others, key=lambda other: other.seconds)
    ratios = [mine / best_of for mine, best_of in zip(one.samples, best.samples, strict=True)]
    return statistics.median(ratios)


def make_turn(call: Callable[[], Any]) -> Callable[[int], float]:
    """turn(calls) of a call that returns JAX arrays."""
    # A GPU gets all calls at once, as PyTorch gives them to it. On a CPU calls that do not depend
    # on each other would run at the same time, so each is waited for.
    waits_for_each = jax.default_backend() == "cpu"

    def turn(calls):
        results = None
        began = time.perf_counter()
        for _ in range(calls):
            results = call()
            if waits_for_each:
                jax.block_until_ready(results)
        jax.block_until_ready(results)
        return time.perf_counter() - began

    return turn
