"""Networks, beside plain Flax and PyTorch: time, rate, memory and compile time of each step.

It writes `bench.md`, which it prints as well, `bench.json` with all samples, and `roofline.png`
with the convolutions of the networks.
"""

import argparse
import dataclasses
from pathlib import Path

from benchmarks import contest, flags, measure_convolutions, measure_networks, roofline, tables
from benchmarks.jax_networks import STEPS
from vidjax.core import files


def add_flags(parser) -> None:
    """Declares the flags."""
    flags.add_targets(parser)
    parser.add_argument(
        "--steps", default="forward,train", help="forward, train, remat (default: the first two)"
    )
    flags.add_contest(parser, against="torch,flax")
    flags.add_rounds(parser)
    parser.add_argument(
        "--convolutions",
        action="store_true",
        help="every lowering of each convolution, too, as the subject convolutions measures them",
    )


def run(options: argparse.Namespace, line: str) -> None:
    """Measures, prints and writes. Raises UserError before anything is measured, StorageError."""
    targets = flags.read_targets(options)
    steps = flags.read_words(options.steps, flag="steps", known=STEPS)
    with contest.opened(options, targets) as running:
        rows = []
        for target in targets:
            for step in steps:
                rows += measure_networks.measure(running, target, step)
        # The roofline has forward passes; more is measured where it is asked for.
        steps_of_convolutions = ["forward"]
        if options.convolutions:
            steps_of_convolutions = [step for step in steps if step != "remat"]
        convolutions = []
        for target in targets:
            convolutions += measure_convolutions.measure(
                running, target, steps=steps_of_convolutions, every=options.convolutions
            )
        about = contest.about(running, options, line)
        content = {
            "about": about,
            "networks": [dataclasses.asdict(row) for row in rows],
            "convolutions": [measure_convolutions.to_json(row) for row in convolutions],
        }
        contest.write(options, content, tables.page(about, rows, convolutions))
        picture = roofline.draw(convolutions, running.machine)
        if picture:
            files.write_bytes(Path(options.out) / "roofline.png", picture)
