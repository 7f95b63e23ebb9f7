"""PyTorch as a contestant, in a process of its own and, if asked for, another interpreter."""

import os
import sys
from typing import Any

import jax

from benchmarks.worker_process import ROOT, WorkerError, WorkerProcess, start_words
from vidjax.core.machine import num_cores

# ROOT goes to the end of the path: the packages of another environment may lie beside it, and the
# interpreter's own come first.
START = """
import sys
sys.path.append(sys.argv.pop())
from benchmarks import torch_worker
torch_worker.main()
"""
LAYOUTS = ("contiguous", "channels_last_3d")

__all__ = ["TorchProcess", "WorkerError"]


class TorchProcess(WorkerProcess):
    """The process that runs PyTorch."""

    def __init__(self, python: str = ""):
        """`python` is the interpreter. Raises UserError where there is no such file."""
        self.python = python or sys.executable
        self.about: dict[str, Any] = {}
        self.device = "cpu"  # in PyTorch's words
        environment = dict(os.environ)
        if python:
            environment.pop("PYTHONPATH", None)  # it is meant for this interpreter
        super().__init__(
            start_words(START, str(ROOT), python=self.python),
            title=f"The process of PyTorch (--torch-python {self.python})",
            environment=environment,
        )

    def start(self) -> None:
        """Imports PyTorch there and chooses the device that JAX has. Raises WorkerError.

        It fills `about`: "torch", "threads" and "gpu".
        """
        # As many threads as JAX uses.
        self.about = self.ask(do="hello", threads=num_cores())
        backend = jax.default_backend()
        if backend == "gpu" and self.about["gpu"]:
            self.device = "cuda"
        elif backend != "cpu":
            raise WorkerError(f"it does not run on this {backend}")

    def ways(self) -> list[tuple[str, dict[str, Any]]]:
        """(name, settings) of every way in which PyTorch can run a network on its device."""
        ways = []
        for compiled in (False, True) if self.device == "cuda" else (False,):
            for layout in LAYOUTS:
                name = f"PyTorch {layout}, compiled" if compiled else f"PyTorch {layout}"
                settings = {"layout": layout, "compiled": compiled, "device": self.device}
                ways.append((name, settings))
        return ways
