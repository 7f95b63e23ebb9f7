"""Weights that a run starts from: a work folder of ours or a file of another code base, fitted."""

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
from vidjax.core.machine import cache_folder
from vidjax.learn.steps import State
from vidjax.run import devices
from vidjax.run.checkpoints import Checkpoints

SHOWN_FAULTS = 2  # that a message lists; it has five lines at most
NOT_OF_NETWORK = ("dtype", "lowering")  # keys that say how to compute, not what
log = logging.getLogger("vidjax")


@dataclass(frozen=True)
class Weights:
    """Variables, and the network that they are of."""

    module: models.Classifier
    clip: tuple[int, ...]  # [N, T, H, W, C], one that the network takes
    variables: dict[str, Any]

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
        return f"{name} {variant}{settings} with {self.num_classes} classes"


def locate(source: str, config: ConfigDict | None) -> Path:
    """The path that `init_from` or `--from` means: a folder, a file, or published weights by name.

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
    module, variables, clip = convert.read(path)
    return Weights(module, clip, variables)


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
    return Weights(models.from_description(contract["network"]), shape, variables)


def start_from(
    path: Path, config: ConfigDict, state: State, *, num_classes: int, mesh: Mesh
) -> State:
    """The state with the weights at `path` in place of its values; says what became of them.

    Args:
        path: a work folder, or a file of another code base.
        config: says what is inflated and how; a message compares its network with the weights'.
        state: the random values of a new run.
        num_classes: how many classes the run has.
        mesh: the devices that hold the state.

    Raises UserError, ConvertError where they do not fit the network.
    """
    weights = read(path)
    # On the host: arrays are compared and replaced one by one.
    target = jax.device_get({"params": state.params, "batch_stats": state.batch_stats})
    fit = fitted(path, weights, target, config=config)
    log.info("starts from %s: %s, %d arrays", path, weights, fit.taken)
    if fit.inflated:
        log.info("%d kernels of it are inflated over time (%s)", len(fit.inflated), config.inflate)
    if fit.replaced:
        log.info(
            "its head of %d classes is replaced by a new one of %d",
            weights.num_classes,
            num_classes,
        )
    return with_variables(state, fit.variables, mesh)


def with_variables(state: State, variables: dict[str, Any], mesh: Mesh) -> State:
    """The state with other parameters and statistics on every device, averages included."""
    put = jax.device_put({"batch_stats": {}, **variables}, devices.replicated(mesh))
    ema = state.ema
    if ema:
        # A copy, because two leaves on one buffer could not be donated.
        ema = jax.tree.map(lambda array: array.copy(), put)
    return state.replace(params=put["params"], batch_stats=put["batch_stats"], ema=ema)


def fitted(
    path: Path, weights: Weights, target: dict[str, Any], *, config: ConfigDict
) -> transfer.Transfer:
    """`transfer.transfer`, with a message that says what would fit. Raises ConvertError."""
    try:
        return transfer.transfer(weights.variables, target, how=config.inflate)
    except ConvertError as error:
        shown = "; ".join(error.faults[:SHOWN_FAULTS])
        if len(error.faults) > SHOWN_FAULTS:
            shown += f"; and {len(error.faults) - SHOWN_FAULTS} more"
        changes = differences(config, weights)
        flags = " ".join(f"--config.model.{key}={value}" for key, value in changes.items())
        advice = "Clips of another size may have other parameters."
        if flags:
            advice = f"The weights' own network: {flags}"
        raise ConvertError(
            f"{path} holds {weights}. It does not fit the config's "
            f"{config.model.name} {config.model.variant}:\n{shown}.\n{advice}"
        ) from error


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
