"""Causal networks as streams: frames a second and bytes of carried state, beside whole clips.

It writes `bench.md`, which it prints as well, and `bench.json` with all samples.
"""

import argparse
import contextlib
import dataclasses

from benchmarks import contest, flags, measure_streams, tables
from vidjax.core.machine import num_cores
from vidjax.run import devices, workdir


def add_flags(parser) -> None:
    """Declares the flags."""
    flags.add_targets(parser)
    flags.add_rounds(parser)


def run(options: argparse.Namespace, line: str) -> None:
    """Measures, prints and writes. Raises UserError for a network without a causal form."""
    targets = [measure_streams.causal(target) for target in flags.read_targets(options)]
    rounds = flags.read_rounds(options)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contest.folder(options, targets))
        rows = [measure_streams.measure(target, rounds=rounds) for target in targets]
        environment = workdir.environment(line, devices.describe())
        about = {"cores": num_cores(), "flags": vars(options), "environment": environment}
        content = {"about": about, "streams": [dataclasses.asdict(row) for row in rows]}
        contest.write(options, content, tables.stream_page(environment, rows))
