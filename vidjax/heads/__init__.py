"""The heads by name: endpoints of a backbone -> logits. A file of this folder is a head."""

import difflib
import importlib
import pkgutil

import flax.linen as nn


def names() -> list[str]:
    """Every head that `build` takes, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def build(name: str, *, num_classes: int, dropout: float = 0.0) -> nn.Module:
    """The head of that name. Raises ValueError where there is none, with the nearest one."""
    if name not in names():
        raise ValueError(no_such("head", name, names()))
    return importlib.import_module(f"{__name__}.{name}").Head(num_classes, dropout)


def no_such(what: str, name: str, known: list[str]) -> str:
    """The sentence for a name that is not in a list: what it was, the nearest, and all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f", did you mean {near[0]!r}?" if near else "."
    return f"there is no {what} {name!r}{hint} There are: {', '.join(known)}"
