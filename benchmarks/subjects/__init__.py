"""What can be measured: a file of this folder is a subject, named by the file.

A subject has `add_flags(parser)`, which declares its flags, and `run(flags, line)`, which measures
and writes; `line` is the command as it was typed.
"""

import importlib
import pkgutil
from types import ModuleType


def names() -> list[str]:
    """Every subject, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """The module of a subject."""
    return importlib.import_module(f"{__name__}.{name}")
