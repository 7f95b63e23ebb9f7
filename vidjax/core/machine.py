"""The machine that a process runs on."""

import os


def num_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: SLURM and containers may grant some of the cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
