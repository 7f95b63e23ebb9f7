"""What a user can ask for: a file of this folder is a job, with `run(request)`."""

import importlib
import pkgutil

from vidjax.run.command import Request


def names() -> list[str]:
    """Every job, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def run(request: Request) -> None:
    """Imports the job of a request and runs it."""
    importlib.import_module(f"{__name__}.{request.job}").run(request)
