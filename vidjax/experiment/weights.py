"""Weights that a run can start from: a work folder of ours or a file of another code base."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import convert, models
from vidjax.core.errors import UserError
from vidjax.core.machine import cache_folder
from vidjax.learn.steps import State
from vidjax.run import devices
from vidjax.run.checkpoints import Checkpoints

NOT_OF_NETWORK = ("dtype", "lowering")  # keys that say how to compute, not what
log = logging.getLogger("vidjax")


@dataclass(frozen=True)
class Weights:
    """Variables, and the network that they are of."""

    module: models.Classifier
    clip: tuple[int, ...]  # [N, T, H, W, C], one that the network takes
    variables: dict[str, Any]
    # what colours were normalised with, {"mean": ..., "std": ...}; None where nobody said
    colours: dict[str, tuple[float, ...]] | None = None

    @property
    def num_classes(self) -> int:
        """The number of classes of the head."""
        return self.module.head.num_classes

    def fields(self, prefer: str = "") -> dict[str, Any]:
        """The keys of `config.model` that make this network.

        Some variants are the same network; of those the result names `prefer`.
        """
        name, variant, others = models.identify(self.module, prefer=prefer)
        fields = {"name": name, "variant": variant, "width": 1.0}
        for key, value in others.items():
            if key not in NOT_OF_NETWORK:
                fields[key] = value
        return fields

    def __str__(self) -> str:
        """'resnet3d r3d_18 with 400 classes'."""
        fields = self.fields()
        name, variant = fields.pop("name"), fields.pop("variant")
        if fields["width"] == 1:
            fields.pop("width")
        settings = "".join(f", {key}={value}" for key, value in fields.items())
        classes = "class" if self.num_classes == 1 else "classes"
        return f"{name} {variant}{settings} with {self.num_classes} {classes}"


def sources(text: str) -> list[str]:
    """What `init_from` names, one for each set of weights."""
    if Path(text).exists():  # a path may have commas
        return [text]
    return [part.strip() for part in text.split(",")]


def locate(source: str, config: ConfigDict | None) -> Path:
    """The path that a source of weights means: a folder, a file, or published weights by name.

    Published weights are fetched into the cache of the config. Raises what `convert.locate` does.
    """
    return convert.locate(source, cache_folder(config.data.cache_dir if config else ""))


def read(path: Path) -> Weights:
    """The weights of a work folder, or of a file whose network is recognised.

    Of a work folder it is the best checkpoint, averaged if the run kept an average.
    Raises UserError, ConvertError, StorageError.
    """
    if (path / "checkpoints").is_dir():
        return _of_run(path)
    # a TensorFlow checkpoint is named by a prefix of its files
    is_prefix = path.with_name(f"{path.name}.index").exists()
    if not path.exists() and not is_prefix:
        raise UserError(
            f"There are no weights at {path}. Name a work folder, or a weight file of a known code "
            "base."
        )
    content = convert.read(path)
    return Weights(content.module, content.clip, content.variables, content.colours)


def _of_run(path: Path) -> Weights:
    checkpoints = Checkpoints(path)
    step = checkpoints.find("best")
    if step is None:
        raise UserError(f"There is no checkpoint in {path} yet.")
    state = checkpoints.restore_as_saved(step)["state"]
    # What an evaluation of the run would take: the average, if the run kept one.
    variables = state.get("ema")
    if not variables:
        variables = {key: state.get(key) or {} for key in ("params", "batch_stats")}
    contract = checkpoints.contract(step)
    clip = contract["clip"]
    shape = (1, clip["num_frames"], clip["size"], clip["size"], 3)
    if "features" in contract:
        shape = (1, *contract["features"]["clip_shape"])
    module = models.from_description(contract["network"])
    colours = {name: tuple(values) for name, values in contract["normalise"].items()}
    return Weights(module, shape, variables, colours)


def with_variables(state: State, variables: dict[str, Any], mesh: Mesh) -> State:
    """The state with other parameters and statistics on every device, averages included."""
    put = jax.device_put({"batch_stats": {}, **variables}, devices.replicated(mesh))
    ema = state.ema
    if ema:
        # A copy, because two leaves on one buffer could not be donated.
        ema = jax.tree.map(lambda array: array.copy(), put)
    return state.replace(params=put["params"], batch_stats=put["batch_stats"], ema=ema)


def differences(config: ConfigDict, weights: Weights) -> dict[str, Any]:
    """The keys of `config.model` that would have to change, with the value that they need."""
    variant = models.family(config.model.name).VARIANTS[config.model.variant]
    changes = {}
    for key, needed in weights.fields(prefer=config.model.variant).items():
        value = config.model.get(key, "")
        if value == "":  # the variant's own
            value = variant.get(key, "")
        if value != needed:
            changes[key] = needed
    return changes


def adopt(config: ConfigDict, weights: Weights, overridden: tuple[str, ...]) -> None:
    """Sets `config.model` to the network of the weights.

    Raises UserError for another family, or where a flag asked for something else.
    """
    changes = differences(config, weights)
    if "name" in changes:
        raise UserError(
            f"The file holds {weights}; the config is of {config.model.name}. "
            "Name a config of its family."
        )
    for key in changes:
        if f"model.{key}" in overridden:
            raise UserError(
                f"The file holds {weights}, so --config.model.{key} cannot be "
                f"{config.model[key]!r}."
            )
    if changes:
        listing = ", ".join(f"{key}={value}" for key, value in changes.items())
        log.info("config.model is set to the file's: %s", listing)
        with config.unlocked():
            config.model.update(changes)
