"""The heads by name: endpoints of a backbone -> logits. A file of this folder is a head.

A head is a module with the field `num_classes` and fields of its own, called as
`head(endpoints, clip_shape=(T, H, W), train=...)`. `endpoints` are what a backbone returns, and
`clip_shape` is the size of the clip that it was given. Its property `answers` says what has an
answer: "clip" for logits [N, K], "frames" for [N, T, K], "places" for [N, T, H, W, K].

Heads that read more than `features` have the field `map_name`, that of the backbone's last endpoint
with time and space. Those with convolutions of their own have the field `style`. Both come from the
backbone and are no settings. The file of a head may state NEEDS, keys of `layers.endpoints.NEEDS`:
a backbone that lacks one of them is refused.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import flax.linen as nn

from vidjax.core import fields as core_fields
from vidjax.core.errors import UserError
from vidjax.core.fields import FieldInfo
from vidjax.core.names import no_such
from vidjax.layers.endpoints import NEEDS
from vidjax.layers.style import Style

REQUIRED = ("num_classes", "dropout")  # fields that every head has
# fields that are no settings; the first two are flax's
HIDDEN = ("parent", "name", "num_classes", "map_name", "style")


def names() -> list[str]:
    """Every head that `build` takes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def fields(name: str) -> dict[str, FieldInfo]:
    """The settings of a head by name. Raises UserError for a head that does not exist."""
    return core_fields.fields_of(_head(name), hidden=HIDDEN)


def parse_field(head: str, field: str, text: str) -> Any:
    """The value of a setting from the text of a flag. Raises UserError for a wrong name or type."""
    return core_fields.parse(_field(head, field), text, room="head")


def build(
    name: str,
    *,
    num_classes: int,
    map_name: str = "features",
    style: Style | None = None,
    **fields: Any,
) -> nn.Module:
    """The head of that name.

    Args:
        name: a file of this folder.
        num_classes: number of logits.
        map_name: the backbone's last endpoint with time and space.
        style: of the backbone, for heads with convolutions of their own.
        **fields: the head's own. A field that is "" keeps its default.

    Raises UserError for a head or a field that does not exist, with the nearest one, and for a
    value of a wrong type or out of range.
    """
    head = _head(name)
    values = {}
    for field, value in fields.items():
        info = _field(name, field)
        if value != "":  # so that a config can list a field without choosing
            values[field] = core_fields.check(info, value, room="head")
    all_fields = {field.name for field in dataclasses.fields(head)}
    if "map_name" in all_fields:
        values["map_name"] = map_name
    if "style" in all_fields and style is not None:
        values["style"] = style
    return head(num_classes=num_classes, **values)


def refuse(name: str, lacking: Mapping[str, str]) -> None:
    """Raises UserError where a backbone lacks what the head needs.

    `lacking` has a clause for each key of `layers.endpoints.NEEDS` that the backbone lacks.
    """
    _head(name)  # a head that does not exist is refused first
    for need in needs(name):
        if need in lacking:
            raise UserError(f"The head {name} needs {NEEDS[need]}: {lacking[need]}.")


def needs(name: str) -> tuple[str, ...]:
    """What the head needs of a backbone: keys of `layers.endpoints.NEEDS`."""
    _head(name)
    stated = getattr(importlib.import_module(f"{__name__}.{name}"), "NEEDS", ())
    for need in stated:
        if need not in NEEDS:
            raise UserError(f"NEEDS of the head {name}: {no_such('need', str(need), list(NEEDS))}")
    return stated


def describe(head: nn.Module) -> dict[str, Any]:
    """The name of a head and all its settings, ready for JSON; `build` takes it apart again."""
    name = type(head).__module__.rpartition(".")[2]
    settings = {field: getattr(head, field) for field in fields(name)}
    return {"name": name, **settings}


def _head(name: str) -> type[nn.Module]:
    if name not in names():
        raise UserError(no_such("head", name, names()))
    module = importlib.import_module(f"{__name__}.{name}")
    _require_contract(module)
    return module.Head


def _require_contract(module: ModuleType) -> None:
    """Raises UserError, with the first thing that is missing, for a file that is no head."""
    missing = ""
    if not hasattr(module, "Head"):
        missing = "no class Head"
    elif not hasattr(module.Head, "answers"):
        missing = "no `answers` in its class Head, which is 'clip', 'frames' or 'places'"
    else:
        all_fields = {field.name for field in dataclasses.fields(module.Head)}
        for field in REQUIRED:
            if field not in all_fields:
                missing = f"no field `{field}` in its class Head"
    if missing:
        raise UserError(f"{module.__file__} is no head: there is {missing}. See docs/heads.md.")


def _field(head: str, field: str) -> FieldInfo:
    known = fields(head)
    if field not in known:
        raise UserError(no_such(f"field of the head {head}", field, list(known)))
    return known[field]
