"""Memory in huge pages, for the programs that JAX runs on a CPU.

A training step takes a gigabyte from the system and gives it back, every time. In pages of 4 KiB that is a quarter of
a million page faults a step, up to a fifth of its time. glibc asks Linux for pages of 2 MiB where it is told to before
a process starts, and only then: so this process starts itself anew, once, with the same number and arguments.
"""

import os
import platform
import sys
from pathlib import Path

VARIABLE, SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
SINCE = (2, 35)  # the glibc that knows it
KERNEL = Path(
    "/sys/kernel/mm/transparent_hugepage/enabled"
)  # "always [madvise] never": the choice is in brackets


def are_to_be_had() -> bool:
    """Whether this system gives huge pages to those that ask, and glibc has not been told yet to ask or not to."""
    if sys.platform != "linux" or SETTING in os.environ.get(VARIABLE, ""):
        return False
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(map(int, version.split(".")[:2])) < SINCE:
        return False
    try:
        return "[madvise]" in KERNEL.read_text()
    except OSError:
        return False


def restart() -> None:
    """Starts this Python anew in this very process, where that changes something; otherwise it returns.

    Call it before anything is open or running. A process that a debugger watches is left alone.
    """
    if not are_to_be_had() or not sys.executable or sys.gettrace() is not None:
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = f"{before}:{SETTING}=1" if before else f"{SETTING}=1"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
