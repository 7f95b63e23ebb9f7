"""What a process runs on: the cores of the machine, installed packages, the cache folder."""

import os
from importlib import metadata
from pathlib import Path


def num_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: SLURM and containers may grant some of the cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed_version(*packages: str) -> str:
    """The version of the first of these packages that is installed, '' where none is.

    Nothing is imported to find this out.
    """
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ""


def cache_folder(named: str = "") -> Path:
    """Where what is made or fetched once is kept: `named`, $VIDJAX_CACHE or ~/.cache/vidjax."""
    folder = named or os.environ.get("VIDJAX_CACHE") or "~/.cache/vidjax"
    return Path(folder).expanduser()
