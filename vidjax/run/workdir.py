"""The work folder: its lock, what is written once at the start, and what a resume may change.

A folder belongs to one process at a time (`lock`, released by the kernel when the process dies, however it dies). It
remembers the config it was begun with; the same command resumes it, another config is refused with the difference.
"""

import fcntl
import logging
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vidjax.core import files
from vidjax.core.errors import Locked, StorageError, UserError
from vidjax.run.command import flat, read_config
from vidjax.run.devices import is_first_process

# What may differ at a resume: length (the schedule follows it), logging, and where files lie.
FREE_KEYS = (
    "num_steps",
    "num_epochs",
    "log_steps",
    "eval_steps",
    "checkpoint_steps",
    "data.root",
    "data.cache_dir",
    "data.decode_threads",
    "compile.cache",
    "compile.quick_init",
    "compile.huge_pages",
)
PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "tensorflow-cpu",
    "tensorflow",
    "clu",
)


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Makes the folder and holds its lock; messages go to `run.log` in it, too. Raises Locked, StorageError.

    Of several processes the first locks and writes; the others just use the folder.
    """
    if not is_first_process():
        yield path
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / "lock", "a+")
    except OSError as error:
        raise StorageError(
            f"The work folder {path} cannot be written: {error.strerror}."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Locked(
                f"{path} is in use by {lock.read().strip() or 'another process'}."
            ) from error
        except OSError as error:  # some network disks know no locks
            raise StorageError(
                f"The disk of {path} cannot lock a file: {error.strerror}."
            ) from error
        lock.truncate(0)
        lock.write(
            f"{socket.gethostname()}, pid {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
        )
        lock.flush()
        files.remove_parts(path)
        handler = logging.FileHandler(path / "run.log", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("vidjax")
        logger.addHandler(handler)
        try:
            yield path
        finally:
            logger.removeHandler(handler)
            handler.close()


def settle_config(workdir: Path, config: ConfigDict) -> None:
    """Writes `config.json`. Where there is a checkpoint, refuses a config that would change what the run computes."""
    path = workdir / "config.json"
    if path.exists() and any((workdir / "checkpoints").glob("*.json")):
        refuse_changes(read_config(path), config, workdir)
    write_json(path, config.to_dict())


def refuse_changes(old: ConfigDict, new: ConfigDict, workdir: Path) -> None:
    """Raises UserError with the keys that differ, unless they are FREE_KEYS."""
    old, new = flat(old), flat(new)
    changed = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k) and k not in FREE_KEYS]
    if changed:
        rows = [
            f"  {k}: {old.get(k, 'absent')!r} there, {new.get(k, 'absent')!r} now"
            for k in changed[:3]
        ]
        more = f" (and {len(changed) - 3} more)" if len(changed) > 3 else ""
        first = f"{workdir} was begun with another config; name another --workdir, or undo{more}:"
        raise UserError("\n".join([first, *rows]))


def environment(line: str, devices: list[str], **extra: Any) -> dict[str, Any]:
    """What `env.json` holds: the command, the commit, versions and devices, and what the job adds."""
    return {
        "command": line,
        "commit": _commit(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {p: v for p in PACKAGES if (v := _version(p))},
        "devices": devices,
        **extra,
    }


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes whole or not at all, in the first process only. Raises StorageError."""
    if is_first_process():
        files.write_json(path, value)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _commit() -> str:
    """The commit of the code that runs, '+' behind it where files differ from it; '' outside a repository."""
    root = Path(sys.modules["vidjax"].__file__).parent.parent

    def git(*words):
        done = subprocess.run(
            ["git", "-C", root, *words], capture_output=True, text=True, timeout=10
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return (
            commit + "+"
            if commit and git("status", "--porcelain", "--untracked-files=no")
            else commit
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
