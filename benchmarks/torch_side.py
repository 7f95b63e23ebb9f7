"""PyTorch as a contestant: a process beside this one, with an interpreter of its own where that is asked for."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.timing import Contestant
from vidjax.core.errors import UserError

ROOT = Path(__file__).parents[2]
# The interpreter's own packages go first: here may lie those of another environment.
START = "import sys; sys.path.append(sys.argv.pop()); from benchmarks import torch_worker; torch_worker.main()"


class TorchError(UserError):
    """What PyTorch's process answered instead of a result."""


class TorchSide:
    """The process, from its first word to its end; use it with `with`."""

    def __init__(self, python: str = ""):
        """`python` is the interpreter, this one's where it is "". Raises UserError where there is no such file."""
        self.python = python or sys.executable
        self.about: dict[str, Any] = {}
        self._keys = itertools.count()
        environment = {
            key: value for key, value in os.environ.items() if key != "PYTHONPATH" or not python
        }
        try:
            self._process = subprocess.Popen(
                [self.python, "-c", START, str(ROOT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
            )
        except OSError as error:
            raise UserError(
                f"--torch-python {python}: {error.strerror}. Name a Python interpreter."
            ) from error

    def __enter__(self) -> "TorchSide":
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(BrokenPipeError):  # it may have ended by itself
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def start(self) -> None:
        """Imports PyTorch there and fills `about`: `torch`, `threads`, `gpu`. Raises TorchError."""
        self.about = self.ask(do="hello", threads=num_threads())

    def ask(self, **words: Any) -> dict[str, Any]:
        """One request and its answer. Raises TorchError."""
        try:
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise TorchError(f"PyTorch's process ({self.python}) ended")
        answer = json.loads(line)
        if "error" in answer:
            raise TorchError(answer["error"])
        return answer

    def contestant(self, name: str, what: str, **words: Any) -> Contestant:
        """Makes something of `torch_programs.MAKERS` there, and runs it once. Raises TorchError."""
        key = str(next(self._keys))
        facts = self.ask(do="make", key=key, what=what, **words)
        return Contestant(
            name,
            turn=lambda calls: self.ask(do="turn", key=key, calls=calls)["seconds"],
            facts=facts,
            is_finite=lambda: self.ask(do="check", key=key)["finite"],
            close=lambda: self.ask(do="drop", key=key) and None,
        )


def num_threads() -> int:
    """The cores that this process may use, which is what JAX takes as well."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ways(device: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, settings) of every way to run a network in PyTorch on a device, "cpu" or "cuda"."""
    compiled = (False, True) if device == "cuda" else (False,)
    layouts = ("contiguous", "channels_last_3d")
    return [
        (
            f"PyTorch {layout}{', compiled' if late else ''}",
            {"layout": layout, "compiled": late, "device": device},
        )
        for late in compiled
        for layout in layouts
    ]
