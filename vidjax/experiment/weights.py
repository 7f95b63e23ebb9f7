"""Weights that a run starts from: read from a work folder of ours or a file of somebody else's, fitted to the run."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import convert, models
from vidjax.convert import transfer
from vidjax.core.errors import ConvertError, UserError
from vidjax.experiment import parts, programs
from vidjax.learn.steps import State
from vidjax.run import devices
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import read_config

SHOWN = 2  # faults that a message lists; it has five lines at most
log = logging.getLogger("vidjax")


@dataclass(frozen=True)
class Weights:
    """Variables and the network that they are of."""

    module: models.Classifier
    clip: tuple[int, ...]  # [N, T, H, W, C], one that it takes
    variables: dict[str, Any]

    @property
    def num_classes(self) -> int:
        """Of the head."""
        return self.module.head.num_classes

    def fields(self, prefer: str = "") -> dict[str, Any]:
        """The keys of `config.model` that make this network; of variants that are one network, `prefer`."""
        name, variant, others = models.identify(self.module, prefer=prefer)
        others = {key: value for key, value in others.items() if key not in ("dtype", "lowering")}
        return {"name": name, "variant": variant, "width": 1.0, **others}

    def __str__(self) -> str:
        """'resnet3d r3d_18 with 400 classes'."""
        fields = self.fields()
        name, variant, width = (fields.pop(key) for key in ("name", "variant", "width"))
        fields = {"width": width, **fields} if width != 1 else fields
        return f"{name} {variant}{''.join(f', {k}={v}' for k, v in fields.items())} with {self.num_classes} classes"


def read(path: Path) -> Weights:
    """What is in a work folder (its best checkpoint, averaged where it kept an average) or in a file, recognised.

    Raises UserError, ConvertError, StorageError.
    """
    if (path / "checkpoints").is_dir():
        return _of_run(path)
    if (
        not path.exists() and not path.with_name(f"{path.name}.index").exists()
    ):  # TensorFlow names a prefix
        raise UserError(
            f"There are no weights at {path}. It is a work folder, or a file of a code base that is known."
        )
    module, variables, clip = convert.read(path)
    return Weights(module, clip, variables)


def _of_run(path: Path) -> Weights:
    found = Checkpoints(path).restore_as_saved(step="best")
    if found is None:
        raise UserError(f"There is no checkpoint in {path} yet.")
    config, state = read_config(path / "config.json"), found[1]["state"]
    variables = state.get("ema") or {key: state.get(key) or {} for key in ("params", "batch_stats")}
    num_classes = variables["params"]["head"]["logits"]["bias"].shape[0]
    return Weights(parts.network(config, num_classes), programs.video_shape(config), variables)


def start_from(path: Path, config: ConfigDict, state: State, mesh: Mesh) -> State:
    """The state with the weights at `path` in place of its own; says what became of them.

    Raises UserError, ConvertError where they do not fit the network.
    """
    weights = read(path)
    target = jax.device_get({"params": state.params, "batch_stats": state.batch_stats})
    found = fitted(path, weights, target, config)
    log.info("starts from %s: %s, %d arrays", path, weights, found.taken)
    if found.inflated:
        log.info(
            "%d kernels of it are inflated over time (%s)", len(found.inflated), config.inflate
        )
    if found.replaced:
        num_classes = target["params"]["head"]["logits"]["bias"].shape[0]
        log.info(
            "its head of %d classes is replaced by a new one of %d",
            weights.num_classes,
            num_classes,
        )
    return with_variables(state, found.variables, mesh)


def with_variables(state: State, variables: dict[str, Any], mesh: Mesh) -> State:
    """The state with other parameters and statistics, averages of them included, on every device."""
    put = jax.device_put({"batch_stats": {}, **variables}, devices.replicated(mesh))
    # A copy: two leaves on one buffer could not be donated.
    ema = jax.tree.map(lambda a: a.copy(), put) if state.ema else state.ema
    return state.replace(params=put["params"], batch_stats=put["batch_stats"], ema=ema)


def fitted(
    path: Path, weights: Weights, target: dict[str, Any], config: ConfigDict
) -> transfer.Transfer:
    """`transfer.transfer`, with a message that says what would fit. Raises ConvertError."""
    try:
        return transfer.transfer(weights.variables, target, how=config.inflate)
    except ConvertError as error:
        faults = [line.strip() for line in str(error).splitlines()[1:]]
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        asked = f"{config.model.name} {config.model.variant}"
        flags = " ".join(f"--config.model.{k}={v}" for k, v in differences(config, weights).items())
        raise ConvertError(
            f"{path} holds {weights}. It does not fit the config's {asked}:\n{'; '.join(faults[:SHOWN])}{more}.\n"
            + (
                f"The weights' own network: {flags}"
                if flags
                else "Clips of another size may have other parameters."
            )
        ) from error


def differences(config: ConfigDict, weights: Weights) -> dict[str, Any]:
    """The keys of `config.model` that the weights need to be others, with the value that they need."""
    own = models.family(config.model.name).VARIANTS[config.model.variant]

    def asked(key):
        value = config.model.get(key, "")
        return own.get(key, value) if value == "" else value

    wanted = weights.fields(prefer=config.model.variant)
    return {key: value for key, value in wanted.items() if asked(key) != value}


def adopt(config: ConfigDict, weights: Weights, overridden: tuple[str, ...]) -> None:
    """Sets `config.model` to the network of the weights. Raises UserError for another family, or against a flag."""
    changes = differences(config, weights)
    if "name" in changes:
        raise UserError(
            f"The file holds {weights}; the config is of {config.model.name}. Name a config of its family."
        )
    for key in changes:
        if f"model.{key}" in overridden:
            raise UserError(
                f"The file holds {weights}, so --config.model.{key} cannot be {config.model[key]!r}."
            )
    if changes:
        log.info(
            "config.model is set to the file's: %s",
            ", ".join(f"{k}={v}" for k, v in changes.items()),
        )
        with config.unlocked():
            config.model.update(changes)
