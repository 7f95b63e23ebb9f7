"""The networks by name: a file of this folder is a family, its VARIANTS are rows of field values.

A family has a `Model`, which is a backbone, VARIANTS with values for fields of the model and of its
style, and MAP, the name of its last endpoint that still has time and space. A Model may have a
method `lacks()`, which says what heads can need and it does not have. One whose pathways end apart
has a method `joined(endpoints)`, the maps of all of them as one, and JOINED, the name of the last.
A file of `composites` is a network made of families, and is named and built in the same way.
Nothing is registered: file names are the registry. This is the one file here that knows heads.
"""

import dataclasses
import importlib
import pkgutil
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax

from vidjax import heads
from vidjax.core import fields as core_fields
from vidjax.core.errors import UserError
from vidjax.core.fields import FieldInfo
from vidjax.core.names import no_such
from vidjax.layers import knobs
from vidjax.layers.style import Style
from vidjax.models import composites
from vidjax.models.classifier import Classifier, clip_shape, features

__all__ = ["Classifier", "clip_shape", "features"]  # of another file, named here for everybody

HIDDEN = ("parent", "name", "style")  # fields of a Model that are no settings; two are flax's
NOT_FAMILIES = ("classifier", "streaming")  # files of this folder that are no networks
COMPUTING = ("dtype", "lowering")  # how a network computes; what it is does not depend on them
DEFAULT_HEAD = "average"
# the parts of a description, and their types
DESCRIPTION = {
    "name": str,
    "variant": str,
    "fields": Mapping,
    "num_classes": int,
    "head": Mapping,
}


def names() -> list[str]:
    """Every family and composite that `build` takes, sorted."""
    files = {*_files_of(__path__), *_files_of(composites.__path__)}
    return sorted(files - set(NOT_FAMILIES))


def family(name: str) -> ModuleType:
    """The module of a family or composite. Raises UserError where it does not exist."""
    if name not in names():
        raise UserError(no_such("model", name, names()))
    room = composites.__name__ if name in _files_of(composites.__path__) else __name__
    return importlib.import_module(f"{room}.{name}")


def _files_of(folders: list[str]) -> list[str]:
    return [file.name for file in pkgutil.iter_modules(folders) if not file.ispkg]


def fields(name: str) -> dict[str, FieldInfo]:
    """The settings of a family by name: fields of its Model, of its style, and `frozen`.

    `dtype` is not among them; it is an argument of `build`.
    """
    of_style = core_fields.fields_of(Style, hidden=("dtype",))
    return {**_fields_of_model(name), **of_style, "frozen": FieldInfo("frozen", str, "")}


def _fields_of_model(name: str) -> dict[str, FieldInfo]:
    module = family(name)
    return core_fields.fields_of(module.Model, hidden=(*HIDDEN, *parts_of(module)))


def parts_of(module: ModuleType) -> dict[str, str]:
    """The parts of a composite: field of its Model -> the setting that names it; {} of a family."""
    return getattr(module, "PARTS", {})


def own_head(name: str, variant: str) -> dict[str, Any]:
    """The head that makes a variant the published network: its "name" and values for its fields."""
    own = getattr(family(name), "HEADS", {})
    return dict(own.get(variant, {"name": DEFAULT_HEAD}))


def parse_field(name: str, field: str, text: str) -> Any:
    """The value of a setting from the text of a flag. Raises UserError for a wrong name or type."""
    return core_fields.parse(_field(name, field), text, room="model")


def build(
    name: str,
    *,
    variant: str,
    num_classes: int,
    head: str | Mapping[str, Any] = "",
    dtype: str = "float32",
    lowering: str = "auto",
    dropout: float | None = None,
    **fields: Any,
) -> Classifier:
    """A classifier: a variant of a family with a head.

    `init(key, video, train=False)` and `apply(variables, video, train=False) -> logits` take a
    video [N, T, H, W, C].

    Args:
        name: the family or composite.
        variant: a key of its VARIANTS.
        num_classes: number of logits.
        head: the name of a head, or a mapping with its "name" and values for its fields; "" for the
            variant's own, which is `average` for all but composites. A mapping that names the
            variant's own head changes those fields that it has.
        dtype: the type that the network computes in; parameters are float32 in any case.
        lowering: how convolutions are lowered.
        dropout: the head's field of that name.
        **fields: values for `frozen` and for fields of the family's Model or its style, in place of
            the variant's.
            A field that is "" keeps the variant's value, so that a config can list it.

    Raises UserError for a name that does not exist, with the nearest one, and for a value of a
    wrong type or out of range.
    """
    row = _row(name, variant)
    for field, value in fields.items():
        info = _field(name, field)
        if value != "":
            row[field] = core_fields.check(info, value, room="model")
    frozen = row.pop("frozen", "")
    backbone = _build_backbone(name, row, dtype=dtype, lowering=lowering)
    settings = _head_settings(head, own_head(name, variant), dropout=dropout)
    head = _build_head(settings, backbone, num_classes=num_classes)
    _refuse_odd_strides(backbone, head)
    return Classifier(backbone, head, frozen)


def _build_backbone(name: str, row: dict[str, Any], *, dtype: str, lowering: str) -> nn.Module:
    """The Model of a family or composite with the values of a row, its parts built first."""
    # A row has fields of both, so that a variant can say its epsilon beside its channels.
    of_style, of_model = {}, {}
    style_fields = core_fields.fields_of(Style)
    for field, value in row.items():
        kind = of_style if field in style_fields else of_model
        kind[field] = value
    module = family(name)
    for part, setting in parts_of(module).items():
        named = of_model.get(setting, _field(name, setting).default)
        if named:  # a composite may do without a part
            width = of_model.get("width", 1.0)
            part_row = {**_part_row(name, setting, named), **of_style, "width": width}
            family_of_part, _, _ = named.partition("/")
            of_model[part] = _build_backbone(
                family_of_part, part_row, dtype=dtype, lowering=lowering
            )
    _refuse_causal_attention(name, of_style, of_model)
    return module.Model(style=Style(dtype=dtype, lowering=lowering, **of_style), **of_model)


def _refuse_causal_attention(name: str, of_style: dict, of_model: dict) -> None:
    """Raises UserError for non-local blocks, which attend to all frames, in a causal network."""
    if of_style.get("causal") and of_model.get("non_local"):
        raise UserError(
            f"model.non_local of {name} attends to later frames as well, so it cannot be chosen "
            "with model.causal."
        )


def _part_row(name: str, setting: str, named: str) -> dict[str, Any]:
    """The row of a part that is named "family/variant". Raises UserError."""
    part, slash, variant = named.partition("/")
    if not slash or part in _files_of(composites.__path__):
        raise UserError(
            f"model.{setting} of {name} is {named!r}; it is a family and one of its variants, "
            "such as 'resnet2d/resnet18'."
        )
    return _row(part, variant)


def with_style(module: Classifier, **changes: Any) -> Classifier:
    """The same classifier with other values in its style, such as lowering="native"."""
    head = module.head
    if hasattr(head, "style"):
        head = head.clone(style=dataclasses.replace(head.style, **changes))
    return module.clone(backbone=_restyled(module.backbone, changes), head=head)


def _restyled(backbone: nn.Module, changes: Mapping[str, Any]) -> nn.Module:
    parts = {}
    # Its own module, which for a backbone of somebody else's is no file of this folder.
    for part in parts_of(sys.modules[type(backbone).__module__]):
        network = getattr(backbone, part)
        if network is not None:
            parts[part] = _restyled(network, changes)
    style = dataclasses.replace(backbone.style, **changes)
    return backbone.clone(style=style, **parts)


def family_name(backbone: nn.Module) -> str:
    """The family or composite of a backbone: the name of its file."""
    return type(backbone).__module__.rpartition(".")[2]


def flow_channels(module: Classifier) -> int:
    """Channels of the optical flow that a network reads beside the video; 0 for none."""
    if getattr(module.backbone, "temporal", ""):
        return 2 * module.backbone.flow_fields
    return 0


def input_shapes(module: Classifier, video: jax.ShapeDtypeStruct) -> Any:
    """What a network takes of clips [N, T, H, W, C], as shapes: the video, or it and its flow."""
    channels = flow_channels(module)
    if not channels:
        return video
    return video, jax.ShapeDtypeStruct((*video.shape[:-1], channels), video.dtype)


def settings(module: Classifier) -> dict[str, Any]:
    """The values of all settings of a backbone, those of its style included."""
    of_model = _fields_of_model(family_name(module.backbone))
    values = {field: getattr(module.backbone, field) for field in of_model}
    style = dataclasses.asdict(module.backbone.style)
    return {**values, **style, "frozen": module.frozen}


def identify(module: Classifier, *, prefer: str = "") -> tuple[str, str, dict[str, Any]]:
    """(family, variant, settings that are not the variant's) of a classifier.

    The variant is the one that the fewest settings differ from; of equals it is `prefer`, or else
    the first.
    """
    name = family_name(module.backbone)
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


def _head_settings(
    head: str | Mapping[str, Any], own: Mapping[str, Any], *, dropout: float | None
) -> dict[str, Any]:
    """The "name" of a head and values for its fields; `own` is the variant's. Raises UserError."""
    settings = {"name": head} if isinstance(head, str) else dict(head)
    if settings.get("name") == "":
        settings["name"] = own["name"]
    if not isinstance(settings.get("name"), str):
        raise UserError(f"A head has a name: {', '.join(heads.names())}.")
    if "num_classes" in settings:
        raise UserError("head.num_classes cannot be chosen; it is the number of classes.")
    if dropout is not None:
        settings["dropout"] = dropout
    if settings["name"] != own["name"]:
        return settings
    chosen = {field: value for field, value in settings.items() if value != ""}
    return {**own, **chosen}


def _build_head(settings: dict[str, Any], backbone: nn.Module, *, num_classes: int) -> nn.Module:
    """The head of these settings on a backbone. Raises UserError where that lacks what it needs."""
    name_of_backbone = family_name(backbone)
    module = family(name_of_backbone)
    lacking = dict(backbone.lacks()) if hasattr(backbone, "lacks") else {}
    if len(parts_of(module)) < 2:
        lacking["streams"] = f"{name_of_backbone} is a single network"
    name = settings.pop("name")
    heads.refuse(name, lacking)
    # A composite may have the map of its part.
    map_name = getattr(backbone, "map_name", getattr(module, "JOINED", module.MAP))
    return heads.build(
        name, num_classes=num_classes, map_name=map_name, style=backbone.style, **settings
    )


def _refuse_odd_strides(backbone: nn.Module, head: nn.Module) -> None:
    """Raises UserError where a causal network could not tell how long an answer is held.

    The head reads the stride off the numbers of time steps, and takes the power of two that fits
    them (`layers.resize`). With another stride an answer would be given ahead of its time.
    """
    if head.answers == "clip" or not backbone.style.causal:
        return
    strides = list(getattr(backbone, "temporal_strides", ()))
    strides += [stride[0] for stride in getattr(backbone, "strides", ())]
    for stride in strides:
        if stride & (stride - 1):  # not 0 and no power of two
            raise UserError(
                f"model.temporal_strides has a stride of {stride}. A causal network that answers "
                "for every frame takes powers of two alone, as it holds answers in between."
            )
