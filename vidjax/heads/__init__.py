"""The heads by name: endpoints of a backbone -> logits. A file of this folder is a head.

A head is a module with the field `num_classes` and fields of its own, called as
`head(endpoints, clip_shape=(T, H, W), train=...)`. `endpoints` are what a backbone returns, and
`clip_shape` is the size of the clip that it was given.
"""

import importlib
import pkgutil
from typing import Any

import flax.linen as nn

from vidjax.core import fields as core_fields
from vidjax.core.errors import UserError
from vidjax.core.fields import FieldInfo
from vidjax.core.names import no_such

HIDDEN = ("parent", "name", "num_classes")  # fields that are no settings; two are flax's


def names() -> list[str]:
    """Every head that `build` takes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def fields(name: str) -> dict[str, FieldInfo]:
    """The settings of a head by name. Raises UserError for a head that does not exist."""
    return core_fields.fields_of(_head(name), hidden=HIDDEN)


def parse_field(head: str, field: str, text: str) -> Any:
    """The value of a setting from the text of a flag. Raises UserError for a wrong name or type."""
    return core_fields.parse(_field(head, field), text, room="head")


def build(name: str, *, num_classes: int, **fields: Any) -> nn.Module:
    """The head of that name.

    A field that is "" keeps its default. Raises UserError for a head or a field that does not
    exist, with the nearest one, and for a value of a wrong type or out of range.
    """
    head = _head(name)
    values = {}
    for field, value in fields.items():
        info = _field(name, field)
        if value != "":  # so that a config can list a field without choosing
            values[field] = core_fields.check(info, value, room="head")
    return head(num_classes=num_classes, **values)


def describe(head: nn.Module) -> dict[str, Any]:
    """The name of a head and all its settings, ready for JSON; `build` takes it apart again."""
    name = type(head).__module__.rpartition(".")[2]
    settings = {field: getattr(head, field) for field in fields(name)}
    return {"name": name, **settings}


def _head(name: str) -> type[nn.Module]:
    if name not in names():
        raise UserError(no_such("head", name, names()))
    return importlib.import_module(f"{__name__}.{name}").Head


def _field(head: str, field: str) -> FieldInfo:
    known = fields(head)
    if field not in known:
        raise UserError(no_such(f"field of the head {head}", field, list(known)))
    return known[field]
