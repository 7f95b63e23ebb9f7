"""Two checkouts of vidjax, such as two commits: the time of each step, and their ratio.

Each runs in a process of its own, with this interpreter and its packages, and they take turns. It
writes `bench.md`, which it prints as well, and `bench.json` with all samples.
"""

import argparse
import contextlib
import dataclasses
from pathlib import Path

from benchmarks import contest, flags, measure_checkouts, tables
from benchmarks.checkout_process import CheckoutProcess
from benchmarks.measure_checkouts import STEPS
from benchmarks.worker_process import ROOT
from vidjax.core.errors import UserError
from vidjax.core.machine import num_cores
from vidjax.run import devices, workdir


def add_flags(parser) -> None:
    """Declares the flags."""
    parser.add_argument(
        "--against-checkout", default="", metavar="DIR", help="another checkout of vidjax"
    )
    flags.add_targets(parser)
    parser.add_argument("--steps", default="forward,train", help="forward, train (default: both)")
    flags.add_rounds(parser)


def run(options: argparse.Namespace, line: str) -> None:
    """Measures, prints and writes. Raises UserError, StorageError."""
    if not options.against_checkout:
        raise UserError("checkouts needs another checkout: --against-checkout DIR.")
    targets = flags.read_targets(options)
    steps = flags.read_words(options.steps, flag="steps", known=STEPS)
    rounds = flags.read_rounds(options)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contest.folder(options, targets))
        checkouts = []
        for folder in (Path(options.against_checkout), ROOT):
            checkouts.append(stack.enter_context(CheckoutProcess(folder)))
        rows = []
        for target in targets:
            for step in steps:
                rows += measure_checkouts.measure(checkouts, target, step, rounds=rounds)
        environment = workdir.environment(line, devices.describe())
        about = {"cores": num_cores(), "flags": vars(options), "environment": environment}
        content = {"about": about, "checkouts": [dataclasses.asdict(row) for row in rows]}
        contest.write(options, content, tables.checkout_page(environment, rows))
