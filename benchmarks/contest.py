"""What a subject stands on: the folder it writes to, PyTorch's process, the machine's rates."""

import argparse
import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import compiling, machine
from benchmarks.flags import CONTESTANTS, read_rounds, read_words
from benchmarks.machine import Machine
from benchmarks.targets import Target
from benchmarks.torch_process import TorchProcess, WorkerError
from vidjax.core import files
from vidjax.core.machine import num_cores
from vidjax.run import devices, workdir
from vidjax.run.progress import show_messages

log = logging.getLogger("vidjax")


@dataclass
class Contest:
    """Who takes part, for how many rounds, and under which ceilings."""

    rounds: int
    against: list[str]  # of CONTESTANTS
    machine: Machine
    torch: TorchProcess | None
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keeps what the reader of the tables has to know, once."""
        if text not in self.notes:
            self.notes.append(text)


@contextlib.contextmanager
def opened(flags: argparse.Namespace, targets: Sequence[Target]) -> Iterator[Contest]:
    """The contest of the flags, within its folder. Raises UserError, StorageError, Locked."""
    rounds = read_rounds(flags)
    against = read_words(flags.against, flag="against", known=CONTESTANTS)
    with contextlib.ExitStack() as stack:
        stack.enter_context(folder(flags, targets))
        # Cold compile times need a cache that has never seen the programs.
        stack.enter_context(compiling.empty_cache())
        torch, notes = None, []
        if "torch" in against:
            process = stack.enter_context(TorchProcess(flags.torch_python))
            torch, notes = _started(process)
        # After PyTorch has started: the ceiling is the better rate of the two libraries.
        log.info("measuring what the machine can do")
        precisions = list(dict.fromkeys(target.precision for target in targets))
        yield Contest(
            rounds=rounds,
            against=against,
            machine=machine.measure(precisions, torch),
            torch=torch,
            notes=notes,
        )


@contextlib.contextmanager
def folder(flags: argparse.Namespace, targets: Sequence[Target]) -> Iterator[None]:
    """The folder of `--out`, locked, once every target has been traced and so been checked."""
    show_messages()
    for target in targets:
        log.info("%s %s: %s multiply-adds", target.name, target.size, f"{target.multiply_adds:,}")
    with workdir.opened(Path(flags.out)):
        yield


def _started(process: TorchProcess) -> tuple[TorchProcess | None, list[str]]:
    """(the process, []) if PyTorch runs there; otherwise (None, [a note why not])."""
    try:
        process.start()
    except WorkerError as error:
        reason = f"{error} (in {process.python}; --torch-python names another interpreter)"
        return None, [f"PyTorch is left out: {reason}."]
    return process, []


def about(contest: Contest, flags: argparse.Namespace, line: str) -> dict[str, Any]:
    """What the numbers are of: machine, versions, command, date. JSON-ready."""
    environment = workdir.environment(line, devices.describe())
    versions = {name: environment["versions"][name] for name in ("jax", "jaxlib", "flax")}
    torch = None
    if contest.torch is not None:
        torch = contest.torch.about
        versions["torch"] = torch["torch"]
    return {
        "machine": dataclasses.asdict(contest.machine),
        "cores": num_cores(),
        "torch": torch,
        "versions": versions,
        "date": environment["started"],
        "notes": contest.notes,
        "flags": vars(flags),
        "environment": environment,
    }


def write(flags: argparse.Namespace, content: dict[str, Any], page: str) -> None:
    """Writes `bench.json` and `bench.md`, and prints the page. Raises StorageError."""
    out = Path(flags.out)
    files.write_json(out / "bench.json", content)
    files.write_text(out / "bench.md", page)
    print(page, end="")
