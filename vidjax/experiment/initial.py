"""The start of a run from weights: read, fitted to its network, and every change said.

`config.init_from` names one set of weights. For a network of several streams it may name one for
each, with a comma between: the first is for the first stream.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import models
from vidjax.convert import streams, transfer
from vidjax.core.errors import ConvertError
from vidjax.experiment import weights
from vidjax.experiment.weights import Weights
from vidjax.learn.steps import State

SHOWN_FAULTS = 2  # that a message lists; it has five lines at most
# Settings without arrays that change what the same arrays compute.
SILENT = ("padding", "epsilon", "activation")
log = logging.getLogger("vidjax")


def locate(config: ConfigDict) -> list[Path]:
    """The paths of the weights that a config starts from, fetched if they have to be."""
    return [weights.locate(source, config) for source in weights.sources(config.init_from)]


def start_from(config: ConfigDict, state: State, *, module: models.Classifier, mesh: Mesh) -> State:
    """The state with the weights that the config starts from in place of its values.

    The log says what was taken, what changed its form and what is new.

    Args:
        config: names the weights and says how kernels are inflated.
        state: the random values of a new run.
        module: the network of the run.
        mesh: the devices that hold the state.

    Raises UserError, ConvertError where they do not fit the network.
    """
    given = {path: weights.read(path) for path in locate(config)}
    # On the host: arrays are compared and replaced one by one.
    target = jax.device_get({"params": state.params, "batch_stats": state.batch_stats})
    placement, fit = fitted(given, target, config=config)
    log.info("%s", "\n".join(_account(given, placement, fit, module=module, config=config)))
    for source in given.values():
        for warning in _other_use(source, module, config):
            log.warning("%s", warning)
    return weights.with_variables(state, fit.variables, mesh)


def fitted(
    given: dict[Path, Weights], target: dict[str, Any], *, config: ConfigDict
) -> tuple[streams.Placement, transfer.Transfer]:
    """The variables of `target` with those of the weights in place. Raises ConvertError.

    Its message says which flags would make them fit.
    """
    names = " and ".join(f"{path} ({source})" for path, source in given.items())
    network = f"{config.model.name} {config.model.variant}"
    try:
        placement = streams.place(
            [source.variables for source in given.values()],
            target,
            streams=stream_names(config.model.name),
        )
    except ConvertError as error:
        raise ConvertError(
            f"config.init_from does not fit the config's {network}: {error}\nIt names {names}."
        ) from error
    try:
        fit = transfer.transfer(
            placement.variables, target, how=config.inflate, fresh=placement.fresh
        )
    except ConvertError as error:
        shown = "; ".join(error.faults[:SHOWN_FAULTS])
        if len(error.faults) > SHOWN_FAULTS:
            shown += f"; and {len(error.faults) - SHOWN_FAULTS} more"
        held = " and ".join(f"{path} holds {source}" for path, source in given.items())
        raise ConvertError(
            f"{held}. It does not fit the config's {network}:\n{shown}.\n{_advice(given, config)}"
        ) from error
    return placement, fit


def stream_names(family: str) -> tuple[str, ...]:
    """The modules of a composite that can be streams of its network; () where it has one part."""
    parts = tuple(models.parts_of(models.family(family)))
    return parts if len(parts) > 1 else ()


def _advice(given: dict[Path, Weights], config: ConfigDict) -> str:
    """Which flags would make the weights fit."""
    flags = {}
    settings = list(models.parts_of(models.family(config.model.name)).values())
    for number, source in enumerate(given.values()):
        fields = source.fields(prefer=config.model.variant)
        if not settings or fields["name"] == config.model.name:
            for key, value in weights.differences(config, source).items():
                flags[key] = value
            continue
        # The weights are of a part: the composite stays, and the part becomes theirs.
        wanted = settings if len(given) == 1 else settings[number : number + 1]
        network = f"{fields['name']}/{fields['variant']}"
        for setting in wanted:
            if _part(config, setting) not in ("", network):
                flags[setting] = network
        if config.model.get("width", 1.0) != fields["width"]:
            flags["width"] = fields["width"]
    if not flags:
        return "Clips of another size may have other parameters."
    words = " ".join(f"--config.model.{key}={value}" for key, value in flags.items())
    return f"The weights' own network: {words}"


def _part(config: ConfigDict, setting: str) -> str:
    """The network of a composite's part, "family/variant"; "" where it does without."""
    model = config.model
    row = models.family(model.name).VARIANTS[model.variant]
    default = models.fields(model.name)[setting].default
    # The flag comes first, then the variant, then the field's default.
    return model.get(setting, "") or row.get(setting, default)


def _account(
    given: dict[Path, Weights],
    placement: streams.Placement,
    fit: transfer.Transfer,
    *,
    module: models.Classifier,
    config: ConfigDict,
) -> Iterator[str]:
    """Lines about what became of the weights."""
    for path, source in given.items():
        yield f"starts from {path}: {source}"
    yield f"{fit.taken} arrays are taken"
    for stream in placement.filled:
        yield f"they fill the stream {streams.short_name(stream)}"
    for stream in placement.fresh:
        yield f"the stream {streams.short_name(stream)} has no weights there and starts at random"
    for stream in placement.left_out:
        yield f"their stream {streams.short_name(stream)} is left out"
    if fit.inflated:
        yield f"{len(fit.inflated)} kernels of it are inflated over time ({config.inflate})"
    for kernel in fit.averaged:
        yield f"{kernel} is averaged over the colours and repeated for every channel of flow"
    if fit.replaced:
        yield about_head(list(given.values()), module)


def about_head(given: Sequence[Weights], module: models.Classifier) -> str:
    """That the head is new, and what it replaces."""
    new = models.describe(module)
    head, num_classes = new["head"]["name"], new["num_classes"]
    for source in given:
        theirs = models.describe(source.module)
        count = theirs["num_classes"]
        # A file without a head is read with one of a single class.
        if theirs["head"]["name"] == head and count > 1:
            return f"its head of {count} classes is replaced by a new one of {num_classes}"
    return f"the head is new: {head}, {num_classes} classes"


def _other_use(source: Weights, module: models.Classifier, config: ConfigDict) -> Iterator[str]:
    """Warnings where the arrays fit, but the run would use them otherwise than their network."""
    theirs = models.settings(source.module)
    fields = source.fields()
    for setting, part in _networks(module):
        if models.family_name(part) != fields["name"]:
            continue
        ours = models.settings(module.clone(backbone=part))
        differing = [field for field in SILENT if theirs.get(field) != ours.get(field)]
        if not differing:
            continue
        flag = f"variant={fields['variant']}"
        if setting:
            flag = f"{setting}={fields['name']}/{fields['variant']}"
        values = [f"{field} {theirs[field]}, not {ours[field]}" for field in differing]
        yield (
            f"the weights' own network has {', and '.join(values)}, so it answers otherwise: "
            f"--config.model.{flag} --config.model.width={fields['width']:g}"
        )
    if source.colours and source.colours != _colours(config):
        words = []
        for name, values in source.colours.items():
            words.append(f"--config.data.{name}={','.join(f'{value:g}' for value in values)}")
        yield f"the weights were made for other colours than the config's: {' '.join(words)}"


def _colours(config: ConfigDict) -> dict[str, tuple[float, ...]]:
    """What colours are normalised with, as `Weights.colours` has it."""
    return {"mean": tuple(config.data.mean), "std": tuple(config.data.std)}


def _networks(module: models.Classifier) -> Iterator[tuple[str, nn.Module]]:
    """(setting, network) of each part of a composite; ("", backbone) of any other network."""
    backbone = module.backbone
    parts = models.parts_of(models.family(models.family_name(backbone)))
    if not parts:
        yield "", backbone
    for part, setting in parts.items():
        if getattr(backbone, part) is not None:
            yield setting, getattr(backbone, part)
