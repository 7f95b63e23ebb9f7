"""The jittable steps: initial state, one training step, one evaluation step.

Model, optimiser, loss and augmentation are closed over; state and batch are arrays only. There are no axis names: the
caller jits with the state replicated and the batch sharded over its first axis, and losses, metrics and BatchNorm
statistics are those of the whole batch on any number of devices. The state may be donated.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from vidjax.learn import metrics
from vidjax.learn.augment import Augment
from vidjax.learn.metrics import Sums
from vidjax.ops import conv

Batch = dict[
    str, jax.Array
]  # video uint8 [N, T, H, W, C], label int32 [N], mask float32 [N], draw uint32 [N]
Variables = dict[str, Any]  # {"params", "batch_stats"}
Loss = Callable[[jax.Array, jax.Array], jax.Array]  # logits [N, K], label [N] -> [N]
Normalise = Callable[[jax.Array], jax.Array]


@flax.struct.dataclass
class State:
    """Everything that training changes. `ema` is (), or averages of {"params", "batch_stats"}."""

    step: jax.Array  # int32, the number of updates made
    params: Any
    batch_stats: Any  # {} for a model without BatchNorm
    opt_state: Any
    ema: Any


def make_init(
    module: nn.Module, tx: optax.GradientTransformation, *, ema: bool = False
) -> Callable[[jax.Array, jax.Array], State]:
    """Builds init(key, video) -> State; of video [N, T, H, W, C] only the shape matters."""

    def init(key, video):
        variables = module.init(key, jnp.zeros(video.shape, jnp.float32), train=False)
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        # Copies: two leaves on one buffer could not be donated.
        average = (
            jax.tree.map(jnp.copy, {"params": params, "batch_stats": batch_stats}) if ema else ()
        )
        return State(jnp.zeros((), jnp.int32), params, batch_stats, tx.init(params), average)

    return init


def make_train_step(
    module: nn.Module,
    tx: optax.GradientTransformation,
    *,
    loss: Loss,
    normalise: Normalise,
    augment: Augment | None = None,
    seed: int = 0,
    ema_decay: float = 0.0,
    remat: bool = False,
) -> Callable[[State, Batch], tuple[State, Sums]]:
    """Builds step(state, batch) -> (state, sums).

    The sums are of the parameters before the update, on the augmented clips and labels: "loss" and "top1" over clips,
    and "finite", (1 or 0, 1): whether loss and gradient norm were finite. Add sums up on the device over as many steps
    as wanted; `all_finite` then tells on the host whether each of them was.
    With `remat` the backward pass keeps what convolutions gave and recomputes what lies between them: the same update
    with less memory and more time.
    A clip with mask 0 adds nothing to loss and gradient, but BatchNorm still sees it: train on full batches.
    """

    def step(state, batch):
        video, label, mask = batch["video"], batch["label"], batch["mask"]
        if augment is not None:
            video, label = augment(video, label, batch["draw"])
        video = normalise(video)
        dropout = jax.random.fold_in(jax.random.key(seed), state.step)

        def mean_loss(params):
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, mutated = module.apply(
                variables, video, train=True, mutable=["batch_stats"], rngs={"dropout": dropout}
            )
            total, weight = metrics.weighted(loss(logits, label), mask)
            return total / jnp.maximum(weight, 1), (
                total,
                weight,
                logits,
                mutated.get("batch_stats", {}),
            )

        kept = jax.checkpoint_policies.save_only_these_names(conv.OUTPUT)
        mean_loss = jax.checkpoint(mean_loss, policy=kept) if remat else mean_loss
        gradient, (total, weight, logits, batch_stats) = jax.grad(mean_loss, has_aux=True)(
            state.params
        )
        updates, opt_state = tx.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = _average(
            state.ema, {"params": params, "batch_stats": batch_stats}, state.step, ema_decay
        )
        finite = jnp.isfinite(total) & jnp.isfinite(optax.tree.norm(gradient))
        sums = {
            "loss": (total, weight),
            "top1": metrics.METRICS["top1"](logits, label, mask),
            "finite": (finite.astype(jnp.float32), jnp.ones(())),
        }
        return State(state.step + 1, params, batch_stats, opt_state, ema), sums

    return step


def _average(ema, new: Variables, step: jax.Array, decay: float):
    """ema <- d * ema + (1 - d) * new with d = min(decay, (1 + step) / (10 + step)), step counted from 0.

    The ramp lets the random start go within a short run, too.
    """
    if not ema or not decay:
        return ema
    d = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda old, value: d * old + (1 - d) * value, ema, new)


def all_finite(sums: Sums) -> bool:
    """Whether every step behind these sums of training had a finite loss and gradient (this syncs)."""
    total, weight = jax.device_get(sums["finite"])
    return bool(total == weight)


def eval_variables(state: State) -> Variables:
    """What to evaluate and export: the averages where there are any, else the current parameters and statistics."""
    return state.ema if state.ema else {"params": state.params, "batch_stats": state.batch_stats}


def make_predict_step(
    module: nn.Module, *, loss: Loss, normalise: Normalise, k: int = 5
) -> Callable[[Variables, Batch, Sums], tuple[Sums, dict[str, jax.Array]]]:
    """Builds step(variables, batch, sums) -> (sums, clips): the sums of `make_eval_step`, and for each clip

    "top" int32 [N, k] (most probable classes first, the lower index first in a tie), "probabilities" float32 [N, k] of
    these, and "loss" float32 [N]. With fewer than k classes it is all of them. Padding is included: drop mask 0.
    """

    def step(variables, batch, sums):
        logits = module.apply(variables, normalise(batch["video"]), train=False).astype(jnp.float32)
        value = loss(logits, batch["label"])
        sums = metrics.add(sums, metrics.measure(value, logits, batch["label"], batch["mask"]))
        probabilities, top = jax.lax.top_k(jax.nn.softmax(logits), min(k, logits.shape[-1]))
        return sums, {"top": top, "probabilities": probabilities, "loss": value}

    return step


def make_eval_step(
    module: nn.Module, *, loss: Loss, normalise: Normalise
) -> Callable[[Variables, Batch, Sums], Sums]:
    """Builds step(variables, batch, sums) -> sums, started from `metrics.zeros(num_classes)`: loss and all METRICS."""
    predict = make_predict_step(module, loss=loss, normalise=normalise)

    def step(variables, batch, sums):
        return predict(variables, batch, sums)[0]

    return step
