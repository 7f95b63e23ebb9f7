"""The code bases whose weights are read: one file each, or one for each family of a large one.

A peer's file has

`recognises(source)`: whether the names are of this code base, even if some are missing. Only one
    peer may say so, since they are asked in no particular order;
`network(source)`: the classifier; names and shapes show its variant, classes and fields;
`table(source)`: what our layers are called in this code base, a `tables.Table`;
`CLIP`: the shape [N, T, H, W, C] of a small clip that its networks take;
`COLOURS`, if it publishes weights: what their colours, from 0 to 1, are normalised with, {"mean":
    (R, G, B), "std": (R, G, B)}.

Files whose names begin with an underscore are shared by several peers, and are none themselves.
"""

import importlib
import pkgutil
from types import ModuleType


def names() -> list[str]:
    """Every peer, sorted."""
    files = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name for name in files if not name.startswith("_"))


def peer(name: str) -> ModuleType:
    """The file of a peer."""
    return importlib.import_module(f"{__name__}.{name}")
