"""The code bases whose weights are read. A file is a peer, or a family of one, with

`recognises(source)`: whether these are its names, whole or not; only one file may say so;
`network(source)`: the classifier, with variant, number of classes and fields told from names and shapes;
`entries(source)`: the table, a list of `leaves.Entry`;
`CLIP`: the shape [N, T, H, W, C] of a small clip that its networks take.
"""

import importlib
import pkgutil
from types import ModuleType


def names() -> list[str]:
    """Every peer, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def peer(name: str) -> ModuleType:
    """The file of a peer."""
    return importlib.import_module(f"{__name__}.{name}")
