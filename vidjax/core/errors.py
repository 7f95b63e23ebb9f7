"""The errors that a user can cause, and the exit code of each.

The message of an error is for the person at the terminal: one to five lines that say what is wrong,
where, the nearest right name, and what to do. Any other exception is a fault of vidjax itself and
keeps its stack.
"""

import errno
import sys
import traceback
from collections.abc import Callable, Sequence

from vidjax.core import interrupts

MAX_LINES = 5  # of a message at the terminal

# With these codes the operating system says that a disk cannot be used, wherever it is met.
STORAGE_CODES = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


class VidjaxError(Exception):
    """The root of all errors that a user can cause. A process ends with the `exit_code`."""

    exit_code = 2


class UserError(VidjaxError):
    """The command line or the config asks for something that does not exist or cannot be."""


class DataError(VidjaxError):
    """The data is there and is bad: a clip that cannot be read, a label that nobody knows."""

    exit_code = 3


class MissingData(DataError):
    """The data is not there: a missing root, no lists, an unknown source."""

    exit_code = 2


class ConvertError(VidjaxError):
    """Weights that are not of a known network, or do not fit it.

    Args:
        message: for the person at the terminal.
        faults: what does not fit, array by array, where that was compared.
    """

    def __init__(self, message: str, *, faults: tuple[str, ...] = ()):
        super().__init__(message)
        self.faults = faults


class ReportError(VidjaxError):
    """There is nothing that a report could be made from."""


class NonFiniteLoss(VidjaxError):
    """The loss, a gradient or a parameter became NaN or infinite."""

    exit_code = 4


class StorageError(VidjaxError):
    """A file or folder that cannot be read or written."""

    exit_code = 5


class Locked(VidjaxError):
    """Another process works in the folder."""

    exit_code = 6


class Preempted(VidjaxError):
    """A signal asked the process to stop; what was done is saved."""

    exit_code = 143


def guarded(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Runs main(argv) and returns the exit code of the process.

    The message of a VidjaxError goes to stderr, the stack above it where `--trace` is among the
    arguments. Everything else is raised again: it is a fault of ours.
    """
    try:
        main(argv)
        return 0
    except VidjaxError as error:
        code = error.exit_code
        problem = error
    except OSError as error:
        if error.errno not in STORAGE_CODES:
            raise
        code = StorageError.exit_code
        problem = error
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return interrupts.EXIT_CODE
    if "--trace" in argv:
        traceback.print_exception(problem)
    # A run that a signal stopped has saved all: that is no error.
    prefix = "" if isinstance(problem, Preempted) else "error: "
    # A message from a library below may be long; the stack has all of it.
    lines = f"{prefix}{problem}".splitlines()
    print("\n".join(lines[:MAX_LINES]), file=sys.stderr)
    return code
