"""The networks by name: a file of this folder is a family, its VARIANTS are rows of field values for its `Model`.

The one file here that knows heads: `build` puts one on a backbone. Nothing is registered; file names are the registry.
"""

import dataclasses
import importlib
import pkgutil
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax

from vidjax import heads
from vidjax.core.names import no_such


class Classifier(nn.Module):
    """A head on a backbone: video [N, T, H, W, C], float -> logits [N, num_classes], float32."""

    backbone: nn.Module
    head: nn.Module

    def __call__(self, video: jax.Array, *, train: bool = False) -> jax.Array:
        return self.head(self.backbone(video, train=train), train=train)


def names() -> list[str]:
    """Every family that `build` takes, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def family(name: str) -> ModuleType:
    """The module of a family, with `Model` and `VARIANTS`. Raises ValueError, naming the nearest, for no such."""
    if name not in names():
        raise ValueError(no_such("model", name, names()))
    return importlib.import_module(f"{__name__}.{name}")


def field_names(name: str) -> list[str]:
    """The fields that `build` takes for a family."""
    hidden = ("parent", "name")  # linen's own
    return [f.name for f in dataclasses.fields(family(name).Model) if f.name not in hidden]


def identify(module: Classifier, *, prefer: str = "") -> tuple[str, str, dict[str, Any]]:
    """(family, variant, fields that are not the variant's) of a classifier: the nearest variant, of equals `prefer`."""
    name = type(module.backbone).__module__.rpartition(".")[2]
    rows = family(name).VARIANTS
    values = {key: getattr(module.backbone, key) for key in field_names(name)}

    def other(row):
        plain = family(name).Model(**row)
        return {key: value for key, value in values.items() if value != getattr(plain, key)}

    variant = min(rows, key=lambda v: (len(other(rows[v])), v != prefer))
    return name, variant, other(rows[variant])


def build(
    name: str,
    *,
    variant: str,
    num_classes: int,
    head: str = "average",
    dropout: float = 0.0,
    **fields,
) -> Classifier:
    """A classifier of `num_classes` from a family, one of its variants and fields that override the variant's.

    A field that is "" stays the variant's, so that a config can name it for flags without choosing.

    `init(key, video, train=False)` and `apply(variables, video, train=False) -> logits` with video [N, T, H, W, C].
    Raises ValueError for a name, variant, head or field that does not exist, with the nearest one that does.
    """
    module = family(name)
    if variant not in module.VARIANTS:
        raise ValueError(no_such(f"variant of {name}", variant, list(module.VARIANTS)))
    for field in fields:
        if field not in field_names(name):
            raise ValueError(no_such(f"field of {name}", field, field_names(name)))
    row = {
        **module.VARIANTS[variant],
        **{key: value for key, value in fields.items() if value != ""},
    }
    return Classifier(
        module.Model(**row), heads.build(head, num_classes=num_classes, dropout=dropout)
    )
