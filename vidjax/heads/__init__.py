"""The heads by name: endpoints of a backbone -> logits. A file of this folder is a head."""

import importlib
import pkgutil

import flax.linen as nn

from vidjax.core.names import no_such


def names() -> list[str]:
    """Every head that `build` takes, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def build(name: str, *, num_classes: int, dropout: float = 0.0) -> nn.Module:
    """The head of that name. Raises ValueError where there is none, with the nearest one."""
    if name not in names():
        raise ValueError(no_such("head", name, names()))
    return importlib.import_module(f"{__name__}.{name}").Head(num_classes, dropout)
