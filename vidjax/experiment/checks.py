"""What can be wrong with a config: values out of range, and names that do not exist."""

import math

from ml_collections import ConfigDict

from vidjax import heads, models
from vidjax.convert import addresses, transfer
from vidjax.core.errors import UserError
from vidjax.core.names import no_such
from vidjax.experiment import weights
from vidjax.run.config import OPEN_SECTIONS, flat, no_such_key

PRECISIONS = ("float32", "bfloat16")

# The least value of each key.
LEAST = {
    "batch_size": 1,
    "log_steps": 1,
    "eval_steps": 0,
    "checkpoint_steps": 0,
    "num_steps": 0,
    "num_epochs": 0,
    "data.stride_jitter": 0,
    "data.decode_threads": 0,
    "optim.learning_rate": 0,
    "optim.reference_batch": 0,
    "task.max_boxes": 1,
}
# How many numbers each key has.
LENGTHS = {
    "data.mean": 3,
    "data.std": 3,
    "data.crop_area": 2,
    "data.crop_ratio": 2,
    "augment.scale": 2,
}
# Besides these, keys without which nothing can be built.
NAMES = (
    "model.name",
    "model.variant",
    "head.name",
    "task.name",
    "loss.name",
    "data.name",
    "optim.name",
    "schedule.name",
    "precision",
    "inflate",
)
# Shares that are less than 1: at 1 an average or a moment would never move.
DECAYS = ("optim.ema_decay", "optim.momentum", "optim.b1", "optim.b2")


def check_values(config: ConfigDict) -> None:
    """Raises UserError for a key that is not there, and for a value out of range."""
    values = flat(config)
    for key in (*NAMES, *LEAST, *LENGTHS, *DECAYS):
        if key not in values:
            raise UserError(f"The config has no key {key!r}. configs/base.py names them all.")
    for key, least in LEAST.items():
        if values[key] < least:
            raise UserError(f"config.{key} is {values[key]}; it is {least} or more.")
    for key, length in LENGTHS.items():
        if len(values[key]) != length:
            raise UserError(f"config.{key} is {values[key]}; it is {length} numbers.")
    _require(values, "num_epochs", math.isfinite(config.num_epochs), condition="finite")
    for key in DECAYS:
        _require(values, key, 0 <= values[key] < 1, condition="at least 0 and less than 1")
    _require(values, "data.std", min(config.data.std) > 0, condition="above 0")
    _require(values, "data.max_bad", 0 <= config.data.max_bad <= 1, condition="between 0 and 1")
    check_network(config)
    # A misspelt name is told before data are read; the file is fetched when it is needed.
    for source in weights.sources(config.init_from):
        if addresses.is_name(source):
            addresses.find(source)
    if config.inflate not in transfer.INFLATIONS:
        known = transfer.INFLATIONS
        raise UserError(f"config.inflate: {no_such('inflation', config.inflate, known)}")
    if config.precision not in PRECISIONS:
        raise UserError(f"config.precision: {no_such('precision', config.precision, PRECISIONS)}")


def check_network(config: ConfigDict) -> None:
    """Raises UserError for a name of a network, a head or a field of them that does not exist."""
    name, variant = config.model.name, config.model.variant
    families = models.names()
    if name not in families:
        raise UserError(f"config.model.name: {no_such('model', name, families, show=30)}")
    variants = list(models.family(name).VARIANTS)
    if variant not in variants:
        sentence = no_such(f"variant of {name}", variant, variants, show=20)
        raise UserError(f"config.model.variant: {sentence}")
    if config.head.name and config.head.name not in heads.names():
        raise UserError(f"config.head.name: {no_such('head', config.head.name, heads.names())}")
    known = known_keys(config)
    for key in flat(config):
        if key not in known:
            raise UserError(no_such_key(key, known))


def check_without_pixels(config: ConfigDict) -> None:
    """Raises UserError where clips without pixels, arrays of features, are to be augmented."""
    for key, value in config.augment.items():
        off = (1.0, 1.0) if key == "scale" else 0.0
        if value != off:
            raise UserError(
                f"config.augment.{key} is {value}, but the clips of {config.data.name} are arrays "
                "without pixels.\nconfigs/probe.py augments nothing."
            )


def known_keys(config: ConfigDict) -> list[str]:
    """Every key that may be set: those of closed sections, and the fields of family and head."""
    keys = []
    for key in flat(config):
        if key.partition(".")[0] not in OPEN_SECTIONS:
            keys.append(key)
    keys += ["model.name", "model.variant", "head.name"]
    keys += [f"model.{field}" for field in models.fields(config.model.name)]
    keys += [f"head.{field}" for field in heads.fields(head_name(config))]
    return keys


def head_name(config: ConfigDict) -> str:
    """The head of a config, which without a name is the variant's own."""
    return config.head.name or models.own_head(config.model.name, config.model.variant)["name"]


def _require(values: dict, key: str, holds: bool, *, condition: str) -> None:
    if not holds:
        raise UserError(f"config.{key} is {values[key]}; it is {condition}.")
