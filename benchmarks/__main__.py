"""The door of the benchmarks: python -m benchmarks [SUBJECT] [flags], at the root of the project.

The subject is what is measured: a file of benchmarks/subjects, which declares its own flags.
"""

import argparse
import functools
import os
import shlex
import sys
from collections.abc import Sequence

from benchmarks import subjects
from vidjax.core import errors
from vidjax.core.errors import UserError
from vidjax.core.names import no_such
from vidjax.run import huge_pages
from vidjax.run.command import Parser

DEFAULT_SUBJECT = "networks"
DEFAULT_OUT = "runs/bench"
EXAMPLES = """examples:
  python -m benchmarks --networks r2plus1d_18,r3d_18 --clips 2x8x112x112
  python -m benchmarks --config configs/x3d.py --against torch --torch-python DIR/bin/python
  python -m benchmarks convolutions --networks r3d_18 --precisions float32,bfloat16
  python -m benchmarks checkouts --networks x3d_s --against-checkout DIR --rounds 9
  python -m benchmarks streams --networks tsm_r18_8f,r2plus1d_18 --clips 1x16x112x112
  python -m benchmarks convolutions --help        the flags of a subject

exit codes: 0 done, 2 wrong use, 5 storage, 6 folder in use"""


def main(argv: Sequence[str]) -> int:
    """Measures what the command line asks for, in a process of its own; returns the exit code."""
    return errors.guarded(functools.partial(run, own_process=True), argv)


def run(argv: Sequence[str], *, own_process: bool = False) -> None:
    """Measures what the command line asks for. Raises UserError, StorageError and Locked.

    With `own_process` nothing else is open or running in this process, which may then start itself
    again for memory in huge pages. GLIBC_TUNABLES=glibc.malloc.hugetlb=0 keeps it from that.
    """
    name, flags = _split(argv)
    # Before the subject is imported, and JAX with it, or those seconds would be spent twice.
    if own_process:
        huge_pages.restart()
    # JAX would take three quarters of a GPU at its start, and PyTorch needs memory there as well.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    subject = subjects.load(name)
    parser = _parser(name)
    subject.add_flags(
        parser.add_argument_group(f"flags of {name}", "lists are separated by commas")
    )
    subject.run(parser.parse_args(flags), shlex.join(["python", "-m", "benchmarks", *argv]))


def _split(argv: Sequence[str]) -> tuple[str, list[str]]:
    """(subject, flags). Raises UserError for a subject that does not exist."""
    if not argv or argv[0].startswith("-"):
        return DEFAULT_SUBJECT, list(argv)
    if argv[0] not in subjects.names():
        raise UserError(no_such("benchmark", argv[0], subjects.names()))
    return argv[0], list(argv[1:])


def _parser(subject: str) -> argparse.ArgumentParser:
    """The flags that every subject has."""
    parser = Parser(
        prog=f"python -m benchmarks {subject}",
        allow_abbrev=False,
        description=f"Measures one of: {', '.join(subjects.names())} (default: {DEFAULT_SUBJECT}).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out",
        default=DEFAULT_OUT,
        metavar="DIR",
        help=f"where bench.md and bench.json are written (default: {DEFAULT_OUT})",
    )
    parser.add_argument("--trace", action="store_true", help="print the stack of an error")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
