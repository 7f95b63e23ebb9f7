"""The networks by name: a file of this folder is a family, its VARIANTS are rows of field values.

A family has a `Model`, which is a backbone, VARIANTS with values for fields of the model and of its
style, and MAP, the name of its last endpoint that still has time and space. Nothing is registered:
file names are the registry. This is the one file here that knows heads.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import flax
import flax.linen as nn
import jax

from vidjax import heads
from vidjax.core import fields as core_fields
from vidjax.core.errors import UserError
from vidjax.core.fields import FieldInfo
from vidjax.core.names import no_such
from vidjax.layers import knobs
from vidjax.layers.style import Style

HIDDEN = ("parent", "name", "style")  # fields of a Model that are no settings; two are flax's
COMPUTING = ("dtype", "lowering")  # how a network computes; what it is does not depend on them
# the parts of a description, and their types
DESCRIPTION = {
    "name": str,
    "variant": str,
    "fields": Mapping,
    "num_classes": int,
    "head": Mapping,
}


class Classifier(nn.Module):
    """A head on a backbone: video [N, T, H, W, C], float -> logits [N, num_classes], float32.

    The video is whatever the backbone takes: networks for images also take [N, H, W, C], SlowFast
    also takes a pair.
    """

    backbone: nn.Module
    head: nn.Module

    def __call__(self, video: jax.Array, *, train: bool = False) -> jax.Array:
        """Raises UserError for a clip that the network or its parameters do not fit."""
        _, logits = self.endpoints_and_logits(video, train=train)
        return logits

    def endpoints_and_logits(
        self, video: jax.Array, *, train: bool = False
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """The endpoints of the backbone as well, for those who look inside."""
        # Flax tells of parameters of another shape by this error alone. They are the caller's: made
        # for another network, or for clips of another size.
        try:
            endpoints = self.backbone(video, train=train)
            logits = self.head(endpoints, clip_shape=clip_shape(video), train=train)
        except flax.errors.ScopeParamShapeError as error:
            size = "x".join(str(length) for length in clip_shape(video))
            raise UserError(
                f"These parameters do not fit this network on clips of {size}. Some networks take "
                f"clips of the size only for which their parameters were made.\n{error}"
            ) from error
        return endpoints, logits


def clip_shape(video: jax.Array | tuple[jax.Array, jax.Array]) -> tuple[int, int, int]:
    """(T, H, W) of a clip; of two pathways the fast one's; an image has one frame."""
    if isinstance(video, tuple | list):
        video = video[-1]
    if video.ndim == 4:  # [N, H, W, C]
        return (1, *video.shape[1:3])
    return video.shape[1:4]


def names() -> list[str]:
    """Every family that `build` takes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def family(name: str) -> ModuleType:
    """The module of a family. Raises UserError where it does not exist, with the nearest one."""
    if name not in names():
        raise UserError(no_such("model", name, names()))
    return importlib.import_module(f"{__name__}.{name}")


def fields(name: str) -> dict[str, FieldInfo]:
    """The settings of a family by name: the fields of its Model, then those of its style.

    `dtype` is not among them; it is an argument of `build`.
    """
    of_model = core_fields.fields_of(family(name).Model, hidden=HIDDEN)
    of_style = core_fields.fields_of(Style, hidden=("dtype",))
    return {**of_model, **of_style}


def parse_field(name: str, field: str, text: str) -> Any:
    """The value of a setting from the text of a flag. Raises UserError for a wrong name or type."""
    return core_fields.parse(_field(name, field), text, room="model")


def build(
    name: str,
    *,
    variant: str,
    num_classes: int,
    head: str | Mapping[str, Any] = "average",
    dtype: str = "float32",
    lowering: str = "auto",
    dropout: float | None = None,
    **fields: Any,
) -> Classifier:
    """A classifier: a variant of a family with a head.

    `init(key, video, train=False)` and `apply(variables, video, train=False) -> logits` take a
    video [N, T, H, W, C].

    Args:
        name: the family.
        variant: a key of its VARIANTS.
        num_classes: number of logits.
        head: the name of a head, or a mapping with its "name" and values for its fields.
        dtype: the type that the network computes in; parameters are float32 in any case.
        lowering: how convolutions are lowered.
        dropout: the head's field of that name.
        **fields: values for fields of the family's Model or its style, in place of the variant's.
            A field that is "" keeps the variant's value, so that a config can list it.

    Raises UserError for a name that does not exist, with the nearest one, and for a value of a
    wrong type or out of range.
    """
    row = _row(name, variant)
    for field, value in fields.items():
        info = _field(name, field)
        if value != "":
            row[field] = core_fields.check(info, value, room="model")
    # A row has fields of both, so that a variant can say its epsilon beside its channels.
    of_style = {}
    for field in core_fields.fields_of(Style):
        if field in row:
            of_style[field] = row.pop(field)
    style = Style(dtype=dtype, lowering=lowering, **of_style)
    backbone = family(name).Model(style=style, **row)
    return Classifier(backbone, _build_head(head, num_classes=num_classes, dropout=dropout))


def with_style(module: Classifier, **changes: Any) -> Classifier:
    """The same classifier with other values in its style, such as lowering="native"."""
    style = dataclasses.replace(module.backbone.style, **changes)
    return module.clone(backbone=module.backbone.clone(style=style))


def settings(module: Classifier) -> dict[str, Any]:
    """The values of all settings of a backbone, those of its style included."""
    of_model = core_fields.fields_of(type(module.backbone), hidden=HIDDEN)
    values = {field: getattr(module.backbone, field) for field in of_model}
    return {**values, **dataclasses.asdict(module.backbone.style)}


def identify(module: Classifier, *, prefer: str = "") -> tuple[str, str, dict[str, Any]]:
    """(family, variant, settings that are not the variant's) of a classifier.

    The variant is the one that the fewest settings differ from; of equals it is `prefer`, or else
    the first.
    """
    name = type(module.backbone).__module__.rpartition(".")[2]
    values = settings(module)
    best = None
    for variant in family(name).VARIANTS:
        usual = settings(build(name, variant=variant, num_classes=1))
        changes = {key: value for key, value in values.items() if value != usual[key]}
        # False sorts ahead of True: of equally near variants the preferred one is first.
        rank = (len(changes), variant != prefer)
        if best is None or rank < best[0]:
            best = (rank, variant, changes)
    _, variant, changes = best
    return name, variant, changes


def describe(module: Classifier, *, prefer: str = "") -> dict[str, Any]:
    """What a classifier is, ready for JSON: `from_description` builds it again.

    The keys are "name", "variant", "fields" (settings that are not the variant's), "num_classes"
    and "head" (its "name" and its settings). How the network computes, `dtype` and `lowering`, is
    left out.
    """
    name, variant, changes = identify(module, prefer=prefer)
    return {
        "name": name,
        "variant": variant,
        "fields": {key: value for key, value in changes.items() if key not in COMPUTING},
        "num_classes": module.head.num_classes,
        "head": heads.describe(module.head),
    }


def from_description(
    description: Mapping[str, Any], *, dtype: str = "float32", lowering: str = "auto"
) -> Classifier:
    """The classifier of a description, which may have been JSON in between.

    Raises UserError for one that lacks a part, or that `build` refuses.
    """
    # It may come from anybody's file, so nothing in it is taken on trust.
    for key, kind in DESCRIPTION.items():
        if not isinstance(description.get(key), kind):
            raise UserError(f"The description of a network has no {key!r}, or a wrong one.")
    for field in description["fields"]:
        if field in COMPUTING:
            raise UserError(f"The description of a network has the field {field!r}.")
        _field(description["name"], field)
    return build(
        description["name"],
        variant=description["variant"],
        num_classes=description["num_classes"],
        head=description["head"],
        dtype=dtype,
        lowering=lowering,
        **description["fields"],
    )


def _row(name: str, variant: str) -> dict[str, Any]:
    variants = family(name).VARIANTS
    if variant not in variants:
        raise UserError(no_such(f"variant of {name}", variant, list(variants)))
    return dict(variants[variant])


def _field(name: str, field: str) -> FieldInfo:
    known = fields(name)
    if field not in known:
        if sentence := knobs.refusal(name, field):
            raise UserError(sentence)
        raise UserError(no_such(f"field of {name}", field, list(known), show=30))
    return known[field]


def _build_head(
    head: str | Mapping[str, Any], *, num_classes: int, dropout: float | None
) -> nn.Module:
    settings = {"name": head} if isinstance(head, str) else dict(head)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"A head has a name: {', '.join(heads.names())}.")
    if "num_classes" in settings:
        raise UserError("head.num_classes cannot be chosen; it is the number of classes.")
    if dropout is not None:
        settings["dropout"] = dropout
    return heads.build(name, num_classes=num_classes, **settings)
