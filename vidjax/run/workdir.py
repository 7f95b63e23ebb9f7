"""The work folder: its lock, what is written once at the start, and what a resume may change.

A folder belongs to one process at a time, by a lock that the kernel releases when the process dies,
however it dies. It remembers the config it was begun with: the same command resumes it, and another
config is refused with the difference.
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
from pathlib import Path
from typing import Any, TextIO

from ml_collections import ConfigDict

from vidjax.core import files
from vidjax.core.errors import Locked, StorageError, UserError
from vidjax.core.machine import installed_version
from vidjax.run.config import flat, read_config
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
    "data.max_bad",  # data.json guards the training clips
    "compile.cache",
    "compile.quick_init",
    "compile.huge_pages",
)
LENGTHS = ("num_steps", "num_epochs")  # of FREE_KEYS, those that change the result
SHOWN_CHANGES = 3  # keys that a refusal lists, as a message has five lines at most

# Their versions are written down with every run.
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

log = logging.getLogger("vidjax")


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Makes the folder, holds its lock, and sends messages to `run.log` in it, too.

    Of several processes the first one locks and writes; the others just use the folder.
    Raises Locked, StorageError.
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
        _take(lock, path)
        # The lock is held, so no other process is writing here.
        for folder in (path, path / "evaluation", path / "report"):
            files.remove_parts(folder)
        handler = logging.FileHandler(path / "run.log", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("vidjax")
        logger.addHandler(handler)
        try:
            yield path
        finally:
            logger.removeHandler(handler)
            handler.close()


def _take(lock: TextIO, path: Path) -> None:
    """Locks the file and writes into it who holds it. Raises Locked, StorageError."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise Locked(
            f"{path} is in use by {holder}. Wait for it, stop it, or name another --workdir."
        ) from error
    except OSError as error:  # some network disks have no locks
        raise StorageError(f"The disk of {path} cannot lock a file: {error.strerror}.") from error
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    lock.truncate(0)
    lock.write(f"{socket.gethostname()}, pid {os.getpid()}, since {now}\n")
    lock.flush()


def settle_config(workdir: Path, config: ConfigDict) -> None:
    """Writes `config.json`; with a checkpoint there, refuses changes of what the run computes."""
    path = workdir / "config.json"
    # Without a checkpoint nothing has been computed that another config could contradict.
    if path.exists() and any((workdir / "checkpoints").glob("*.json")):
        refuse_changes(read_config(path), config, workdir)
    write_json(path, config.to_dict())


def refuse_changes(old: ConfigDict, new: ConfigDict, workdir: Path) -> None:
    """Raises UserError with the keys that differ, unless all of them are FREE_KEYS.

    Another length is said, as the schedule of the learning rate follows it.
    """
    old, new = flat(old), flat(new)
    rows = []
    for key in sorted({*old, *new}):
        before, now = old.get(key, "absent"), new.get(key, "absent")
        if before != now and key not in FREE_KEYS:
            rows.append(f"  {key}: {before!r} there, {now!r} now")
    if not rows:
        for key in LENGTHS:
            if old.get(key) != new.get(key):
                log.info("%s: %s was %s and is %s now", workdir, key, old.get(key), new.get(key))
        return
    hidden = len(rows) - SHOWN_CHANGES
    more = f" (and {hidden} more)" if hidden > 0 else ""
    first = f"{workdir} was begun with another config; name another --workdir, or undo{more}:"
    raise UserError("\n".join([first, *rows[:SHOWN_CHANGES]]))


def environment(line: str, devices: list[str], **extra: Any) -> dict[str, Any]:
    """What `env.json` holds: command, commit, versions, devices, and what the job adds."""
    versions = {}
    for package in PACKAGES:
        version = installed_version(package)
        if version:
            versions[package] = version
    return {
        "command": line,
        "commit": _commit(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "devices": devices,
        **extra,
    }


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a file whole or not at all, in the first process only. Raises StorageError."""
    if is_first_process():
        files.write_json(path, value)


def _commit() -> str:
    """The commit of the code that runs, '+' behind it if files differ; '' outside a repository."""
    root = Path(sys.modules["vidjax"].__file__).parent.parent

    def git(*words):
        # A user may have no git; the commit is then unknown, and the run goes on.
        command = ["git", "-C", root, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        is_changed = bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f"{commit}+" if commit and is_changed else commit
