"""A config turned into its parts: source, clip spec, network, optimiser, augmentation, loss.

The one place that reads config keys for them; the parts themselves take plain numbers. What a config asks for that does
not exist ends here as a sentence, before any device works.
"""

import dataclasses
import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from vidjax import heads, models
from vidjax.convert import transfer
from vidjax.core.errors import DataError, UserError
from vidjax.core.names import no_such
from vidjax.data import labels
from vidjax.data.pipeline import ClipSpec
from vidjax.data.sources import open_source
from vidjax.gestures import source as gestures
from vidjax.learn import augment, losses, optim
from vidjax.run import devices
from vidjax.run.command import flat

PRECISIONS = ("float32", "bfloat16")


def cache_dir(config: ConfigDict) -> Path:
    """Where what is made once is kept."""
    return Path(
        config.data.cache_dir or os.environ.get("VIDJAX_CACHE") or "~/.cache/vidjax"
    ).expanduser()


def check(config: ConfigDict) -> None:
    """Raises UserError for whatever can be refused before data and devices are looked at."""
    least = {
        "batch_size": 1,
        "log_steps": 1,
        "eval_steps": 0,
        "checkpoint_steps": 0,
        "num_steps": 0,
        "num_epochs": 0,
    }
    for key, value in least.items():
        if config[key] < value:
            raise UserError(f"config.{key} is {config[key]}; it is {value} or more.")
    data = config.data
    lengths = {
        "data.mean": (data.mean, 3),
        "data.std": (data.std, 3),
        "augment.scale": (config.augment.scale, 2),
    }
    lengths |= {"data.crop_area": (data.crop_area, 2), "data.crop_ratio": (data.crop_ratio, 2)}
    for key, (value, length) in lengths.items():
        if len(value) != length:
            raise UserError(f"config.{key} is {value}; it is {length} numbers.")
    ranges = {
        "head.dropout": 0 <= config.head.dropout < 1 or "at least 0 and less than 1",
        "model.width": config.model.width > 0 or "above 0",
        "data.std": min(data.std) > 0 or "above 0",
        "data.stride_jitter": data.stride_jitter >= 0 or "0 or more",
        "data.decode_threads": data.decode_threads >= 0 or "0 or more",
        "data.max_bad": 0 <= data.max_bad <= 1 or "between 0 and 1",
    }
    for key, allowed in ranges.items():
        if allowed is not True:
            raise UserError(f"config.{key} is {flat(config)[key]}; it is {allowed}.")
    if config.inflate not in transfer.INFLATIONS:
        raise UserError(
            f"config.inflate: {no_such('inflation', config.inflate, transfer.INFLATIONS)}"
        )
    check_network(config)
    clip_spec(config)
    loss(config)
    optimiser(config, schedule(config, 1))


def source(config: ConfigDict) -> Any:
    """The data set of a config. Raises DataError, MissingData."""
    data = config.data
    options = dict(data.gestures) if data.name == "gestures" else {}
    return open_source(
        data.name,
        root=data.root,
        cache_dir=str(cache_dir(config)),
        options=options,
        built_in={"gestures": gestures.Source},
    )


def clip_spec(config: ConfigDict) -> ClipSpec:
    """Frames, crop and size. Raises UserError for a choice that does not exist."""
    names = [field.name for field in dataclasses.fields(ClipSpec)]
    try:
        return ClipSpec(**{name: config.data[name] for name in names})
    except DataError as error:
        raise UserError(f"config.{error}") from error


def network(config: ConfigDict, num_classes: int) -> models.Classifier:
    """The classifier of a config. Raises UserError for a name or a field that does not exist."""
    check_network(config)
    fields = {key: value for key, value in config.model.items() if key not in ("name", "variant")}
    if fields.get("lowering") == "auto":
        fields["lowering"] = devices.lowering(compiler_options(config))
    return models.build(
        config.model.name,
        variant=config.model.variant,
        num_classes=num_classes,
        head=config.head.name,
        dropout=config.head.dropout,
        dtype=config.precision,
        **fields,
    )


def use_compilation_cache(config: ConfigDict) -> None:
    """Keeps compiled programs beside what else is made once, unless the config says not to.

    Programs with oneDNN's calls cannot be kept: jaxlib 0.12 fails to write them, and says so each time.
    """
    if config.compile.cache and not compiler_options(config):
        devices.use_compilation_cache(cache_dir(config) / "programs")


def compiler_options(config: ConfigDict) -> dict[str, Any]:
    """What the config's programs are compiled with."""
    return devices.compiler_options(onednn=config.compile.onednn)


def check_network(config: ConfigDict) -> None:
    """Raises UserError for a name or a field of a network that does not exist."""
    known = models.names()
    if config.model.name not in known:
        raise UserError(f"config.model.name: {no_such('model', config.model.name, known, show=30)}")
    variants = list(models.family(config.model.name).VARIANTS)
    if config.model.variant not in variants:
        what = f"variant of {config.model.name}"
        raise UserError(
            f"config.model.variant: {no_such(what, config.model.variant, variants, show=20)}"
        )
    if config.head.name not in heads.names():
        raise UserError(f"config.head.name: {no_such('head', config.head.name, heads.names())}")
    if config.precision not in PRECISIONS:
        raise UserError(f"config.precision: {no_such('precision', config.precision, PRECISIONS)}")
    if "dtype" in config.model:
        raise UserError("config.model.dtype: the type is chosen by config.precision.")
    known = models.field_names(config.model.name)
    for field in config.model:
        if field not in ("name", "variant", *known):
            raise UserError(
                f"config.model.{field}: {no_such('field of ' + config.model.name, field, known)}"
            )


def num_steps(config: ConfigDict, num_clips: int) -> int:
    """Updates of the whole run; its last batch is filled up from the epoch that would follow."""
    if config.num_steps:
        return config.num_steps
    return max(1, math.ceil(config.num_epochs * num_clips / config.batch_size))


def every(steps: int, config: ConfigDict, num_clips: int) -> int:
    """`steps`, or those of an epoch where that is 0."""
    return steps or max(1, math.ceil(num_clips / config.batch_size))


def schedule(config: ConfigDict, total_steps: int) -> optax.Schedule:
    """Step -> learning rate, scaled by batch where the config asks for it. Raises UserError."""
    rate = optim.scaled_learning_rate(
        config.optim.learning_rate, config.batch_size, config.optim.reference_batch
    )
    return _checked(
        optim.make_schedule, learning_rate=rate, num_steps=total_steps, **dict(config.schedule)
    )


def optimiser(config: ConfigDict, rate: optax.Schedule) -> optax.GradientTransformation:
    """The optimiser of a config. Raises UserError."""
    apart = ("learning_rate", "reference_batch", "ema_decay")
    fields = {key: value for key, value in config.optim.items() if key not in apart}
    return _checked(optim.make_optimizer, schedule=rate, **fields)


def augmentation(config: ConfigDict, data: Any) -> augment.Augment:
    """The augmentation of training clips; flips swap labels by name. Raises UserError, DataError."""
    swap = labels.flip_map(data.classes, data.flip_swaps) if config.augment.flip else None
    return _checked(augment.make_augment, swap=swap, **dict(config.augment))


def normalisation(config: ConfigDict) -> Callable[[jax.Array], jax.Array]:
    """uint8 or 0..255 float clips -> what the network sees."""
    return functools.partial(augment.normalise, mean=config.data.mean, std=config.data.std)


def loss(config: ConfigDict) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """(logits [N, K], label [N]) -> [N]. Raises UserError."""
    if config.loss.name not in losses.LOSSES:
        raise UserError(
            f"config.loss.name: {no_such('loss', config.loss.name, list(losses.LOSSES))}"
        )
    fields = {key: value for key, value in config.loss.items() if key != "name"}
    return functools.partial(losses.LOSSES[config.loss.name], **fields)


def _checked(make: Callable, **fields):
    """Calls `make`; what it refuses is the config's fault."""
    try:
        return make(**fields)
    except ValueError as error:
        raise UserError(f"config: {error}.") from error
