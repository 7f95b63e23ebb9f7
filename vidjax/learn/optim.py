"""Optimisers and learning-rate schedules, each a table of pure functions on top of optax.

Weight decay is decoupled in all of them (Loshchilov and Hutter, ICLR 2019): added after momentum or Adam's scaling, and
multiplied by the scheduled learning rate. For SGD that departs from the usual L2 penalty, which passes through the
momentum: to match a recipe with decay d and momentum m, set about d / (1 - m) here (1e-4 with 0.9 becomes 1e-3).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax


def constant(
    step,
    *,
    num_steps: int,
    warmup_steps: int,
    end_factor: float,
    boundaries: Sequence[float],
    factor: float,
):
    """1 throughout."""
    return jnp.ones_like(step, dtype=jnp.float32)


def cosine(
    step,
    *,
    num_steps: int,
    warmup_steps: int,
    end_factor: float,
    boundaries: Sequence[float],
    factor: float,
):
    """Half a cosine from 1 after the warm-up to `end_factor` at `num_steps` (Loshchilov and Hutter, ICLR 2017)."""
    done = jnp.clip((step - warmup_steps) / max(num_steps - warmup_steps, 1), 0, 1)
    return end_factor + (1 - end_factor) * 0.5 * (1 + jnp.cos(jnp.pi * done))


def staircase(
    step,
    *,
    num_steps: int,
    warmup_steps: int,
    end_factor: float,
    boundaries: Sequence[float],
    factor: float,
):
    """Multiplied by `factor` from step round(b * num_steps) on, for each b in `boundaries`."""
    value = jnp.ones_like(step, dtype=jnp.float32)
    for boundary in boundaries:
        value = value * jnp.where(step >= round(boundary * num_steps), factor, 1.0)
    return value


# name: (step float32, **all settings) -> multiple of the learning rate, before the warm-up is applied
SCHEDULES = {
    "cosine": cosine,
    "step": staircase,
    "constant": constant,
}


def make_schedule(
    *,
    name: str,
    learning_rate: float,
    num_steps: int,
    warmup_steps: int = 0,
    end_factor: float = 0.0,
    boundaries: Sequence[float] = (),
    factor: float = 0.1,
) -> optax.Schedule:
    """Builds schedule(step) -> learning rate, float32; steps count from 0.

    The warm-up is linear from 0 at step 0 (so that with one the first update changes nothing) and reaches the full rate
    at step `warmup_steps`. `boundaries` are fractions of the whole training, warm-up included.
    Raises ValueError for an unknown name or settings out of range.
    """
    shape = _look_up(SCHEDULES, name, "schedule.name")
    if warmup_steps < 0 or num_steps < 1:
        raise ValueError(
            f"a schedule needs num_steps of 1 or more and warmup_steps of 0 or more, not {num_steps}, {warmup_steps}"
        )
    if any(not 0 < boundary < 1 for boundary in boundaries):
        raise ValueError(
            f"schedule.boundaries are fractions of training between 0 and 1, not {tuple(boundaries)}"
        )
    boundaries = tuple(boundaries)

    def schedule(step):
        step = jnp.asarray(step, jnp.float32)
        value = shape(
            step,
            num_steps=num_steps,
            warmup_steps=warmup_steps,
            end_factor=end_factor,
            boundaries=boundaries,
            factor=factor,
        )
        warmup = jnp.minimum(step / warmup_steps, 1) if warmup_steps else 1.0
        return learning_rate * warmup * value

    return schedule


def scaled_learning_rate(learning_rate: float, batch_size: int, reference_batch: int) -> float:
    """learning_rate * batch_size / reference_batch (Goyal et al., 2017); unscaled where reference_batch is 0."""
    return learning_rate * batch_size / reference_batch if reference_batch else learning_rate


def decay_mask(params):
    """True for what weight decay touches: arrays of rank 2 or more. Biases, norm scales and offsets have rank 1."""
    return jax.tree.map(lambda p: p.ndim >= 2, params)


def sgd(
    *, momentum: float, nesterov: bool, b1: float, b2: float, eps: float, amsgrad: bool
) -> optax.GradientTransformation:
    """v = momentum * v + g, without dampening; the update is v, or g + momentum * v with Nesterov."""
    return optax.trace(decay=momentum, nesterov=nesterov) if momentum else optax.identity()


def adam(
    *, momentum: float, nesterov: bool, b1: float, b2: float, eps: float, amsgrad: bool
) -> optax.GradientTransformation:
    """Kingma and Ba, ICLR 2015; with `amsgrad` the largest second moment so far (Reddi et al., ICLR 2018).

    The maximum is over bias-corrected moments, where PyTorch takes it before the correction.
    """
    return (
        optax.scale_by_amsgrad(b1=b1, b2=b2, eps=eps)
        if amsgrad
        else optax.scale_by_adam(b1=b1, b2=b2, eps=eps)
    )


# adam and adamw are two names of one optimiser: decay is decoupled in both
OPTIMIZERS = {
    "sgd": sgd,
    "adamw": adam,
    "adam": adam,
}


def make_optimizer(
    *,
    name: str,
    schedule: optax.Schedule,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    amsgrad: bool = False,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Clips by global norm (0: off), scales by the named optimiser, adds weight decay (see `decay_mask`).

    p <- p - schedule(step) * (scaled gradient + weight_decay * p). What an optimiser has no use for, it ignores.
    Raises ValueError for an unknown name or a negative setting.
    """
    scale = _look_up(OPTIMIZERS, name, "optim.name")
    if weight_decay < 0 or clip_norm < 0:
        raise ValueError(
            f"optim.weight_decay and optim.clip_norm are 0 (off) or more, not {weight_decay}, {clip_norm}"
        )
    parts = [scale(momentum=momentum, nesterov=nesterov, b1=b1, b2=b2, eps=eps, amsgrad=amsgrad)]
    if clip_norm:
        parts.insert(0, optax.clip_by_global_norm(clip_norm))
    if weight_decay:
        parts.append(optax.add_decayed_weights(weight_decay, mask=decay_mask))
    return optax.chain(*parts, optax.scale_by_learning_rate(schedule))


def _look_up(table, name: str, key: str):
    if name not in table:
        raise ValueError(f"{key} is {name!r}, which is not one of {', '.join(table)}")
    return table[name]
