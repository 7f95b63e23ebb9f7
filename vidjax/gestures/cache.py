"""A folder that is made once, by one process, and is seen by others only when it is complete."""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator

from vidjax.core.errors import DataError, StorageError


def make_once(folder: str, make: Callable[[str], None]) -> str:
    """Calls make(part) unless the folder exists; `part` is an empty folder that then becomes it.

    Returns the folder. Raises StorageError where the disk refuses.
    """
    if os.path.isdir(folder):
        return folder
    parent = os.path.dirname(folder)
    if not parent:
        raise DataError(
            "The synthetic gesture set is rendered into a cache folder: set data.cache_dir."
        )
    try:
        os.makedirs(parent, exist_ok=True)
        with _locked(folder + ".lock"):
            # Another process may have made the folder while this one waited for the lock.
            if not os.path.isdir(folder):
                _make(folder, make)
    except OSError as error:
        raise StorageError(
            f"The synthetic gesture set could not be rendered into {parent}: {error}.\n"
            "Set data.cache_dir to a folder with room to write."
        ) from error
    return folder


def _make(folder: str, make: Callable[[str], None]) -> None:
    """Makes a part folder, which takes its name only when it is complete."""
    parent = os.path.dirname(folder)
    # The name of this machine is in the name of the part: on a shared disk without locks, another
    # machine may be making the same folder.
    prefix = f"{os.path.basename(folder)}.part-{socket.gethostname()}-"
    for name in os.listdir(parent):
        # We hold the lock, so the process that left this part was killed.
        if name.startswith(prefix):
            shutil.rmtree(os.path.join(parent, name), ignore_errors=True)
    part = tempfile.mkdtemp(prefix=prefix, dir=parent)
    try:
        os.chmod(part, 0o755)
        make(part)
        try:
            os.rename(part, folder)
        except OSError:
            # If the folder exists, another machine was faster, with the same bytes.
            if not os.path.isdir(folder):
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Holds the lock of a file; the system frees the lock of a process that dies.

    Where there are no locks, two processes may render at once, which wastes time and does no harm.
    """
    with open(path, "a") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("synthetic gestures: another process is rendering them, waiting", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield
