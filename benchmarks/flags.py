"""The flags of `--job bench`, kept apart from those that every job has."""

import argparse
from dataclasses import dataclass, fields

from vidjax.core.errors import UserError


@dataclass(frozen=True)
class BenchFlags:
    """What is measured, as typed; lists are separated by commas. "" leaves it to the config, or to a default."""

    networks: str = ""
    clips: str = ""
    precisions: str = ""
    steps: str = "forward,train"
    against: str = "torch,flax"
    rounds: int = 5
    convolutions: bool = False
    torch_python: str = ""


def add_to(parser: argparse.ArgumentParser) -> None:
    """A group of their own in the help."""
    group = parser.add_argument_group("bench", "lists are separated by commas")
    group.add_argument(
        "--networks",
        default="",
        metavar="NAMES",
        help="variants, e.g. r3d_18,x3d_s, or config files",
    )
    group.add_argument(
        "--clips",
        default="",
        metavar="SIZES",
        help="clips x frames x height x width, e.g. 2x8x112x112",
    )
    group.add_argument("--precisions", default="", metavar="NAMES", help="float32, bfloat16")
    group.add_argument(
        "--steps", default=BenchFlags.steps, help="forward, train, remat (default: the first two)"
    )
    group.add_argument(
        "--against", default=BenchFlags.against, help="torch, flax, none (default: torch,flax)"
    )
    group.add_argument(
        "--rounds",
        type=int,
        default=BenchFlags.rounds,
        help="turns of each contestant (default: 5)",
    )
    group.add_argument(
        "--convolutions", action="store_true", help="every lowering of each convolution, too"
    )
    group.add_argument(
        "--torch-python", default="", metavar="FILE", help="an interpreter that has PyTorch"
    )


def read(options: argparse.Namespace) -> BenchFlags:
    """The flags as given. Raises UserError where any is given to another job."""
    flags = BenchFlags(**{field.name: getattr(options, field.name) for field in fields(BenchFlags)})
    if options.job != "bench":
        for field in fields(BenchFlags):
            if getattr(flags, field.name) != field.default:
                raise UserError(f"--{field.name.replace('_', '-')} goes with --job bench.")
    return flags
