"""Flags that several subjects share, and the values that stand in them."""

import argparse
from collections.abc import Sequence

from benchmarks import targets
from benchmarks.config_target import from_config
from benchmarks.targets import PRECISIONS, Target
from vidjax.core.errors import UserError
from vidjax.core.names import no_such

CONTESTANTS = ("torch", "flax", "none")
NO_NETWORK = (
    "Name a network, e.g. --networks r2plus1d_18,r3d_18 or --config configs/r2p1d.py. "
    "--help lists the flags."
)


def add_targets(parser) -> None:
    """Declares the flags that `read_targets` reads."""
    parser.add_argument(
        "--networks",
        default="",
        metavar="NAMES",
        help="variants, e.g. r3d_18,x3d_s, or config files",
    )
    parser.add_argument(
        "--config",
        default="",
        metavar="FILE[:PRESET]",
        help="the network of a config, at its batch size, clip and precision, with the head "
        "that all networks have here",
    )
    parser.add_argument(
        "--clips",
        default="",
        metavar="SIZES",
        help="clips x frames x height x width, e.g. 2x8x112x112",
    )
    parser.add_argument(
        "--precisions", default="", metavar="NAMES", help=f"{', '.join(PRECISIONS)}"
    )


def add_contest(parser, *, against: str) -> None:
    """Declares the flags that `contest.opened` reads; `against` is the default of that flag."""
    parser.add_argument(
        "--against", default=against, help=f"{', '.join(CONTESTANTS)} (default: {against})"
    )
    parser.add_argument(
        "--torch-python", default="", metavar="FILE", help="an interpreter that has PyTorch"
    )


def add_rounds(parser) -> None:
    """Declares the flag that `read_rounds` reads."""
    parser.add_argument(
        "--rounds", type=int, default=5, help="turns of each contestant (default: 5)"
    )


def read_targets(flags: argparse.Namespace) -> list[Target]:
    """Every network at every clip and precision.

    Raises UserError for a name that does not exist, for a value that is none, and for a clip that a
    network does not take.
    """
    # Values first: they are cheap to check, and importing a family is not.
    clips = [targets.parse_clip(text) for text in split(flags.clips)]
    precisions = split(flags.precisions)
    for name in precisions:
        targets.check_precision(name)
    names = split(flags.networks)
    if flags.config:
        names.insert(0, flags.config)
    if not names:
        raise UserError(NO_NETWORK)
    chosen = []
    for name in names:
        target = _network(name)
        for clip in clips or [target.clip[:4]]:
            for precision in precisions or [target.precision]:
                chosen.append(target.at(clip, precision=precision))
    return chosen


def _network(name: str) -> Target:
    """A variant at the default clip, or the network of a config file."""
    if name.partition(":")[0].endswith(".py"):
        return from_config(name)
    return targets.from_variant(name)


def read_rounds(flags: argparse.Namespace) -> int:
    """The number of rounds. Raises UserError for less than one."""
    if flags.rounds < 1:
        raise UserError(f"--rounds is {flags.rounds}; it is 1 or more.")
    return flags.rounds


def read_words(text: str, *, flag: str, known: Sequence[str]) -> list[str]:
    """The words of a list. Raises UserError for one that is not known, and for no word at all."""
    words = split(text)
    if not words:
        raise UserError(f"--{flag} is a list of {', '.join(known)}.")
    for word in words:
        if word not in known:
            raise UserError(f"--{flag}: {no_such('such word', word, known)}")
    return words


def split(text: str) -> list[str]:
    """'a,b' -> ['a', 'b']; '' -> []."""
    return [word for word in text.split(",") if word]
