"""Memory in huge pages, for the programs that JAX runs on a CPU.

A training step takes a gigabyte from the system and gives it back, every time. In pages of 4 KiB
that is a quarter of a million page faults a step, up to a fifth of its time. glibc asks Linux for
pages of 2 MiB if an environment variable says so when a process starts, and only then. So this
process starts itself again, once, with the same process number and arguments.
"""

import os
import platform
import sys
from pathlib import Path

VARIABLE = "GLIBC_TUNABLES"
SETTING = "glibc.malloc.hugetlb"
SINCE = (2, 35)  # the glibc that knows the setting
# "always [madvise] never": the kernel's choice is in brackets
KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def are_available() -> bool:
    """Whether this system gives huge pages to processes that ask, and glibc has no setting yet."""
    if sys.platform != "linux" or SETTING in os.environ.get(VARIABLE, ""):
        return False
    name, version = platform.libc_ver()
    if name != "glibc":
        return False
    if tuple(int(part) for part in version.split(".")[:2]) < SINCE:
        return False
    try:
        return "[madvise]" in KERNEL.read_text()
    except OSError:
        return False


def restart() -> None:
    """Starts this Python again in this very process, if that changes something; else it returns.

    Call it before anything is open or running. A process under a debugger is left alone.
    """
    if not are_available() or not sys.executable or sys.gettrace() is not None:
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = f"{before}:{SETTING}=1" if before else f"{SETTING}=1"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
