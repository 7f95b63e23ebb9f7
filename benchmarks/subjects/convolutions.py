"""The convolutions of networks, each in every lowering and beside PyTorch's.

It writes `bench.md`, which it prints as well, `bench.json` with all samples, and `roofline.png`.
"""

import argparse
from pathlib import Path

from benchmarks import contest, flags, measure_convolutions, roofline, tables
from vidjax.core import files

STEPS = ("forward", "train")  # train: forward and both gradients


def add_flags(parser) -> None:
    """Declares the flags."""
    flags.add_targets(parser)
    parser.add_argument("--steps", default="forward,train", help="forward, train (default: both)")
    flags.add_contest(parser, against="torch")
    flags.add_rounds(parser)


def run(options: argparse.Namespace, line: str) -> None:
    """Measures, prints and writes. Raises UserError before anything is measured, StorageError."""
    targets = flags.read_targets(options)
    steps = flags.read_words(options.steps, flag="steps", known=STEPS)
    with contest.opened(options, targets) as running:
        rows = []
        for target in targets:
            rows += measure_convolutions.measure(running, target, steps=steps, every=True)
        about = contest.about(running, options, line)
        content = {
            "about": about,
            "convolutions": [measure_convolutions.to_json(row) for row in rows],
        }
        contest.write(options, content, tables.page(about, [], rows))
        picture = roofline.draw(rows, running.machine)
        if picture:
            files.write_bytes(Path(options.out) / "roofline.png", picture)
