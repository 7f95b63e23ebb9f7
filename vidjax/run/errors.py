"""Errors that a user can cause: one to five lines for the terminal, and the exit code of the process.

Rooms that import nothing of ours (data, report, convert) raise exceptions of their own; any exception with an
`exit_code` is one of these for `guarded`. Everything else is a fault of vidjax and keeps its stack.
"""

import difflib
import errno
import sys
import traceback
from collections.abc import Callable, Sequence

MAX_LINES = 5


# the disk's own refusals, wherever they are met
STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


class UserError(Exception):
    """Wrong use or a bad config."""

    exit_code = 2


class NonFiniteLoss(UserError):
    """The loss or a gradient became NaN or infinite."""

    exit_code = 4


class StorageError(UserError):
    """A work folder or checkpoint that cannot be read or written."""

    exit_code = 5


class Locked(UserError):
    """Another process works in the folder."""

    exit_code = 6


class Preempted(UserError):
    """Asked to stop by a signal; what was done is saved."""

    exit_code = 143


def guarded(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Runs main(argv) and returns the exit code; a user's error is printed as its sentences, the stack if `--trace`."""
    try:
        main(argv)
        return 0
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if isinstance(error, OSError) and error.errno in STORAGE:
            code = StorageError.exit_code
        if code is None:
            raise
        if "--trace" in argv:
            traceback.print_exc()
        print("\n".join(f"error: {error}".splitlines()[:MAX_LINES]), file=sys.stderr)
        return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def no_such(what: str, name: str, known: Sequence[str], *, show: int = 12) -> str:
    """'There is no <what> <name>. Did you mean <nearest>?' and the list where it is short."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = f"\nThere are: {', '.join(known)}." if len(known) <= show else ""
    return f"There is no {what} {name!r}.{hint}{listed}"
