"""What a user can ask for: a file of this folder is a job, with `run(request)` and its own flags.

`run.command.complete` documents the contract of a job.
"""

import importlib
import os
import pkgutil
from collections.abc import Sequence

from ml_collections import ConfigDict

from vidjax.core import errors, interrupts
from vidjax.run import command, huge_pages
from vidjax.run.command import Request


def names() -> list[str]:
    """Every job, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def main(argv: Sequence[str], *, own_process: bool = False) -> int:
    """Does what the command line asks for and returns the exit code.

    With `own_process` nothing else is open or running in this process, which may then start itself
    again for memory in huge pages.
    """

    def parse_and_run(argv):
        request = parse(argv, own_process=own_process)
        interrupts.raise_again()
        run(request)

    return errors.guarded(parse_and_run, argv)


def parse(argv: Sequence[str], *, own_process: bool = False) -> Request:
    """The request of a command line. Raises UserError."""
    # TensorFlow only decodes images here and has nothing to say about itself. It reads these
    # variables when it is imported, which the jobs below may do.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    words = command.read(argv, names())
    # Before the job is imported, or the seconds that this takes would be spent twice.
    if own_process and wants_huge_pages(words.config):
        huge_pages.restart()
    job = importlib.import_module(f"{__name__}.{words.job}")
    return command.complete(words, job, names())


def wants_huge_pages(config: ConfigDict | None) -> bool:
    """Whether a config asks for them; without one, or without the key, the answer is yes."""
    if config is None:
        return True
    return config.get("compile", {}).get("huge_pages", True)


def run(request: Request) -> None:
    """Runs the job of a request, once the flags for fields of network and head are settled."""
    if request.open_flags:
        # Imported only now: it knows the networks, and with them JAX.
        from vidjax.experiment import flags

        config = flags.settle(request.config, request.open_flags)
        request = request.with_config(config)
    importlib.import_module(f"{__name__}.{request.job}").run(request)
