"""The steps that jobs compile: initial state, one training step, one evaluation step.

Network, optimiser, loss and augmentation are closed over; state and batch are arrays only. There
are no axis names: the caller jits with the state replicated and the batch sharded over its first
axis, and losses, metrics and BatchNorm statistics are those of the whole batch on any number of
devices. The state may be donated.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from vidjax.learn import metrics
from vidjax.learn.augment import Augment
from vidjax.learn.metrics import Metric, Sums
from vidjax.ops import conv

# video uint8 [N, T, H, W, C], label [N, ...], mask float32 [N], draw uint32 [N], and perhaps flow
Batch = dict[str, jax.Array]
Variables = dict[str, Any]  # {"params", "batch_stats"}
Loss = Callable[[jax.Array, jax.Array], jax.Array]  # logits [N, ...], label [N, ...] -> [N]
Inputs = Callable[[Batch], Any]  # batch -> what the network takes

# The decay of the averages is at most (1 + step) / (RAMP_STEPS + step), so that the random start is
# soon forgotten.
RAMP_STEPS = 10


@flax.struct.dataclass
class State:
    """Everything that training changes, as arrays only."""

    step: jax.Array  # int32, the number of updates made
    params: Any
    batch_stats: Any  # {} for a network without BatchNorm
    opt_state: Any
    ema: Any  # averages of {"params", "batch_stats"}, or ()
    extra: dict[str, jax.Array] = flax.struct.field(
        default_factory=dict
    )  # named arrays of a recipe


def make_init(
    module: nn.Module, tx: optax.GradientTransformation, *, ema: bool = False
) -> Callable[[jax.Array, Any], State]:
    """Builds init(key, video) -> State; of video, [N, T, H, W, C] or several, shapes matter."""

    def init(key, video):
        video = jax.tree.map(lambda clip: jnp.zeros(clip.shape, jnp.float32), video)
        variables = module.init(key, video, train=False)
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        average = ()
        if ema:
            # Copies, because two leaves on one buffer could not be donated.
            average = jax.tree.map(jnp.copy, {"params": params, "batch_stats": batch_stats})
        return State(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=batch_stats,
            opt_state=tx.init(params),
            ema=average,
        )

    return init


def make_train_step(
    module: nn.Module,
    tx: optax.GradientTransformation,
    *,
    loss: Loss,
    inputs: Inputs,
    metrics_of_training: Mapping[str, Metric] | None = None,
    augment: Augment | None = None,
    seed: int = 0,
    ema_decay: float = 0.0,
    remat: bool = False,
) -> Callable[[State, Batch], tuple[State, Sums]]:
    """Builds step(state, batch) -> (state, sums).

    Args:
        module: the network, video [N, T, H, W, C] -> logits.
        tx: the optimiser.
        loss: one value for each clip.
        inputs: from a batch to what the network takes: its pixels, normalised.
        metrics_of_training: metrics to measure besides the loss, by name.
        augment: changes a batch before it is normalised; None leaves it as it is.
        seed: of dropout, together with the number of the step.
        ema_decay: of the averages in `state.ema`, which exist if `make_init` was asked for them.
        remat: keep the outputs of convolutions alone for the backward pass and compute again what
            lies between them: the same update, with less memory and in more time.

    The sums are of the parameters before the update, on the augmented clips and labels: "loss" over
    clips, the metrics, and "finite", (1 or 0, 1): whether loss and gradient were finite. Add sums
    up on the device over as many steps as wanted; `all_finite` then tells on the host whether each
    was. A clip with mask 0 adds nothing to loss and gradient, but BatchNorm still sees it: train on
    full batches.
    """
    measured = dict(metrics_of_training or {})

    def step(state, batch):
        if augment is not None:
            batch = augment(batch)
        video, label, mask = inputs(batch), batch["label"], batch["mask"]
        dropout = jax.random.fold_in(jax.random.key(seed), state.step)

        def mean_loss(params):
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, changed = module.apply(
                variables, video, train=True, mutable=["batch_stats"], rngs={"dropout": dropout}
            )
            total, weight = metrics.weighted(loss(logits, label), mask)
            aside = total, weight, logits, changed.get("batch_stats", {})
            return total / jnp.maximum(weight, 1), aside

        if remat:
            kept = jax.checkpoint_policies.save_only_these_names(conv.OUTPUT)
            mean_loss = jax.checkpoint(mean_loss, policy=kept)
        gradient, aside = jax.grad(mean_loss, has_aux=True)(state.params)
        total, weight, logits, batch_stats = aside

        updates, opt_state = tx.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = {"params": params, "batch_stats": batch_stats}

        finite = jnp.isfinite(total) & jnp.isfinite(optax.tree.norm(gradient))
        sums = {"loss": (total, weight), "finite": (finite.astype(jnp.float32), jnp.ones(()))}
        for name, metric in measured.items():
            sums[name] = metric.measure(logits, label, mask)
        state = state.replace(
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            ema=_average(state.ema, new, step=state.step, decay=ema_decay),
        )
        return state, sums

    return step


def _average(ema: Any, new: Variables, *, step: jax.Array, decay: float) -> Any:
    """ema <- d * ema + (1 - d) * new with d = min(decay, (1 + step) / (10 + step)), step from 0."""
    if not ema or not decay:
        return ema
    d = jnp.minimum(decay, (1 + step) / (RAMP_STEPS + step))

    def moved(old, value):
        # What does not change (a frozen backbone) keeps its bits, which the sum would round.
        return jnp.where(old == value, old, d * old + (1 - d) * value)

    return jax.tree.map(moved, ema, new)


def all_finite(sums: Sums) -> bool:
    """Whether every step behind these sums had a finite loss and gradient (it waits for them)."""
    total, weight = jax.device_get(sums["finite"])
    return bool(total == weight)


def is_finite(tree: Any) -> bool:
    """Whether every number in a tree of arrays is finite (it waits for them)."""
    # On the host: a program over the 1,600 arrays of a deep network takes 40 s to compile.
    for leaf in jax.tree.leaves(tree):
        if not np.isfinite(jax.device_get(leaf)).all():
            return False
    return True


def eval_variables(state: State) -> Variables:
    """What to evaluate and export: the averages if there are any, else the current variables."""
    if state.ema:
        return state.ema
    return {"params": state.params, "batch_stats": state.batch_stats}


def make_predict_step(
    module: nn.Module,
    *,
    loss: Loss,
    metrics_of_evaluation: Mapping[str, Metric],
    rows: Callable[[jax.Array, jax.Array], dict[str, jax.Array]],
    inputs: Inputs,
) -> Callable[[Variables, Batch, Sums], tuple[Sums, dict[str, jax.Array]]]:
    """Builds step(variables, batch, sums) -> (sums, rows).

    The sums begin as `zeros`; they hold "loss" and the metrics. The rows of the batch are what
    `rows(logits, label)` keeps of each clip, and "loss", float32 [N]. Padding is among the rows:
    drop those with mask 0.
    """

    def step(variables, batch, sums):
        label, mask = batch["label"], batch["mask"]
        logits = module.apply(variables, inputs(batch), train=False)
        logits = logits.astype(jnp.float32)
        value = loss(logits, label)
        updated = {"loss": metrics.add(sums["loss"], metrics.weighted(value, mask))}
        for name, metric in metrics_of_evaluation.items():
            updated[name] = metric.update(sums[name], logits, label, mask=mask)
        return updated, {**rows(logits, label), "loss": value}

    return step


def zeros(measured: Mapping[str, Metric], *, logits: Any, label: Any) -> Sums:
    """The sums of no clip, for logits and labels of these shapes."""
    sums = {"loss": (jnp.zeros(()), jnp.zeros(()))}
    for name, metric in measured.items():
        sums[name] = metric.zeros(logits, label)
    return sums


def finish(
    measured: Mapping[str, Metric], sums: Sums, rows: metrics.Rows, *, prefix: str = "val/"
) -> metrics.Result:
    """All results behind sums on the host: scalars under `prefix`, and tables.

    Besides the metrics there are "loss", the mean over clips, and "num_clips". Without any clip the
    means are NaN and `num_clips` is 0.
    """
    scalars = {f"{prefix}loss": metrics.divide(sums["loss"])}
    tables = {}
    for name, metric in measured.items():
        result = metric.finish(sums[name], rows)
        for scalar, value in result.scalars.items():
            scalars[prefix + scalar] = value
        tables |= result.tables
    scalars[f"{prefix}num_clips"] = round(float(sums["loss"][1]))
    return metrics.Result(scalars, tables)
