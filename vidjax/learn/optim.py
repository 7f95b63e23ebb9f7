"""Optimisers and learning-rate schedules, each a table of pure functions on top of optax.

Weight decay is decoupled in all of them (Loshchilov and Hutter, ICLR 2019): added after momentum or
Adam's scaling, and multiplied by the scheduled learning rate. For SGD that departs from the usual
L2 penalty, which passes through the momentum: to match a recipe with decay d and momentum m, set
about d / (1 - m) here (1e-4 with 0.9 becomes 1e-3).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vidjax.core.errors import UserError
from vidjax.core.names import no_such

# (step float32, the steps of the run, the steps of warm-up) -> multiple of the learning rate
Shape = Callable[..., jax.Array]


def constant(step: jax.Array, *, num_steps: int, warmup_steps: int) -> jax.Array:
    """1 throughout."""
    return jnp.ones_like(step, dtype=jnp.float32)


def cosine(
    step: jax.Array, *, num_steps: int, warmup_steps: int, end_factor: float = 0.0
) -> jax.Array:
    """Half a cosine from 1 after the warm-up to `end_factor` at `num_steps`.

    Loshchilov and Hutter, ICLR 2017.
    """
    done = jnp.clip((step - warmup_steps) / max(num_steps - warmup_steps, 1), 0, 1)
    return end_factor + (1 - end_factor) * 0.5 * (1 + jnp.cos(jnp.pi * done))


def staircase(
    step: jax.Array,
    *,
    num_steps: int,
    warmup_steps: int,
    boundaries: Sequence[float] = (),
    factor: float = 0.1,
) -> jax.Array:
    """Multiplied by `factor` from step round(b * num_steps) on, for each b in `boundaries`."""
    value = jnp.ones_like(step, dtype=jnp.float32)
    for boundary in boundaries:
        value = value * jnp.where(step >= round(boundary * num_steps), factor, 1.0)
    return value


# What config.schedule.name chooses from.
SCHEDULES: dict[str, Shape] = {
    "cosine": cosine,
    "step": staircase,
    "constant": constant,
}


def make_schedule(
    *, name: str, learning_rate: float, num_steps: int, warmup_steps: int = 0, **settings: Any
) -> optax.Schedule:
    """Builds schedule(step) -> learning rate, float32; steps count from 0.

    Args:
        name: a key of SCHEDULES.
        learning_rate: the rate after the warm-up.
        num_steps: the updates of the whole training, warm-up included.
        warmup_steps: updates over which the rate rises linearly from 0, which it is at step 0, so
            that the first update changes nothing; 0 for no warm-up.
        settings: those that the schedule has (`settings_of`).

    Raises UserError for an unknown name or settings out of range.
    """
    shape = _look_up(SCHEDULES, name, "schedule")
    if num_steps < 1:
        raise UserError(f"A schedule needs 1 step or more, not {num_steps}.")
    if warmup_steps < 0:
        raise UserError(f"config.schedule.warmup_steps is {warmup_steps}; it is 0 or more.")
    for boundary in settings.get("boundaries", ()):
        if not 0 < boundary < 1:
            raise UserError(
                f"config.schedule.boundaries are {tuple(settings['boundaries'])}; they are "
                "fractions of the training, between 0 and 1."
            )

    def schedule(step):
        step = jnp.asarray(step, jnp.float32)
        value = shape(step, num_steps=num_steps, warmup_steps=warmup_steps, **settings)
        warmup = 1.0
        if warmup_steps:
            warmup = jnp.minimum(step / warmup_steps, 1)
        return learning_rate * warmup * value

    return schedule


def scaled_learning_rate(learning_rate: float, batch_size: int, reference_batch: int) -> float:
    """learning_rate * batch_size / reference_batch (Goyal et al., 2017); 0 does not scale."""
    if reference_batch == 0:
        return learning_rate
    return learning_rate * batch_size / reference_batch


def decay_mask(params: Any) -> Any:
    """True for what weight decay touches: arrays of rank 2 or more.

    Biases, norm scales and offsets have rank 1.
    """
    return jax.tree.map(lambda p: p.ndim >= 2, params)


def sgd(*, momentum: float = 0.9, nesterov: bool = False) -> optax.GradientTransformation:
    """v = momentum * v + g, not dampened; the update is v, or g + momentum * v with Nesterov."""
    if momentum == 0:
        return optax.identity()
    return optax.trace(decay=momentum, nesterov=nesterov)


def adam(
    *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, amsgrad: bool = False
) -> optax.GradientTransformation:
    """Kingma and Ba, ICLR 2015.

    With `amsgrad` it divides by the largest second moment so far (Reddi et al., ICLR 2018).
    The maximum is over bias-corrected moments, where PyTorch takes it before the correction.
    """
    if amsgrad:
        return optax.scale_by_amsgrad(b1=b1, b2=b2, eps=eps)
    return optax.scale_by_adam(b1=b1, b2=b2, eps=eps)


# What config.optim.name chooses from. Decay is decoupled in all, so adam and adamw are one
# optimiser.
OPTIMISERS = {
    "sgd": sgd,
    "adamw": adam,
    "adam": adam,
}


def settings_of(table: Mapping[str, Callable], name: str, *, what: str) -> list[str]:
    """The settings that an entry of SCHEDULES or OPTIMISERS has for itself. Raises UserError."""
    common = ("step", "num_steps", "warmup_steps")
    parameters = inspect.signature(_look_up(table, name, what)).parameters
    return [parameter for parameter in parameters if parameter not in common]


def make_optimiser(
    *,
    name: str,
    schedule: optax.Schedule,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    **settings: Any,
) -> optax.GradientTransformation:
    """Clips by global norm, scales by the named optimiser, adds weight decay (see `decay_mask`).

    Args:
        name: a key of OPTIMISERS.
        schedule: step -> learning rate.
        weight_decay: p <- p - schedule(step) * (scaled gradient + weight_decay * p).
        clip_norm: the largest norm of the whole gradient; 0 for no limit.
        settings: those that the optimiser has (`settings_of`).

    Raises UserError for an unknown name or a negative setting.
    """
    scale = _look_up(OPTIMISERS, name, "optim")
    for key, value in (("weight_decay", weight_decay), ("clip_norm", clip_norm)):
        if value < 0:
            raise UserError(f"config.optim.{key} is {value}; it is 0 (off) or more.")
    parts = []
    if clip_norm:
        parts.append(optax.clip_by_global_norm(clip_norm))
    parts.append(scale(**settings))
    if weight_decay:
        parts.append(optax.add_decayed_weights(weight_decay, mask=decay_mask))
    return optax.chain(*parts, optax.scale_by_learning_rate(schedule))


def _look_up(table: Mapping[str, Callable], name: str, what: str) -> Callable:
    """The entry of a table. Raises UserError for a name that it does not have."""
    if name not in table:
        raise UserError(f"config.{what}.name: {no_such(what, name, list(table))}")
    return table[name]


def frozen(tx: optax.GradientTransformation, names: Sequence[str]) -> optax.GradientTransformation:
    """The optimiser with no update for the parameters below these top-level names.

    Not even weight decay: they keep their bits. The optimiser holds no state for them either.
    """
    if not names:
        return tx

    def labels(params):
        kinds = {}
        for name, tree in params.items():
            kind = "frozen" if name in names else "trained"
            kinds[name] = jax.tree.map(lambda _, kind=kind: kind, tree)
        return kinds

    return optax.multi_transform({"trained": tx, "frozen": optax.set_to_zero()}, labels)
