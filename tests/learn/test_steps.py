"""Training and evaluation steps on a tiny network: it learns, the sums are right, and devices
change nothing.
"""

import functools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.learn import metrics, steps
from vidjax.learn.augment import make_augment, normalise
from vidjax.learn.losses import cross_entropy
from vidjax.learn.optim import make_optimiser, make_schedule

NUM_CLASSES = 3
METRICS = {"top1": metrics.top_k(1), "confusion": metrics.Confusion()}
TRAINED = {"top1": METRICS["top1"]}


def INPUTS(batch):
    return normalise(batch["video"], mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class Tiny(nn.Module):
    dropout: float = 0.2

    @nn.compact
    def __call__(self, video, *, train):
        x = nn.Conv(4, (1, 3, 3), strides=(1, 2, 2), use_bias=False, name="conv")(video)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(x)
        x = nn.relu(x).reshape(x.shape[0], -1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(NUM_CLASSES, name="logits")(x)


def some_batch(num, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "video": jnp.asarray(rng.integers(0, 256, (num, 2, 6, 6, 3), dtype=np.uint8)),
        "label": jnp.arange(num, dtype=jnp.int32) % NUM_CLASSES,
        "mask": jnp.ones(num),
        "draw": jnp.asarray(rng.integers(0, 2**32, num, dtype=np.uint32)),
    }


def build(*, ema_decay=0.0, dropout=0.2, **augment):
    """A jitted step (its state donated) and a fresh state."""
    module = Tiny(dropout=dropout)
    schedule = make_schedule(name="constant", learning_rate=0.02, num_steps=100)
    tx = make_optimiser(name="adamw", schedule=schedule, weight_decay=1e-3, clip_norm=1.0)
    augment = make_augment(**augment) if augment else None
    init = jax.jit(steps.make_init(module, tx, ema=ema_decay > 0))
    step = steps.make_train_step(
        module,
        tx,
        loss=cross_entropy,
        metrics_of_training=TRAINED,
        inputs=INPUTS,
        augment=augment,
        seed=3,
        ema_decay=ema_decay,
    )
    return jax.jit(step, donate_argnums=0), init(jax.random.key(0), some_batch(1)["video"])


def predict_step():
    return steps.make_predict_step(
        Tiny(),
        loss=cross_entropy,
        metrics_of_evaluation=METRICS,
        rows=lambda logits, label: {"label": label, "scores": jax.nn.softmax(logits)},
        inputs=INPUTS,
    )


def no_clips():
    return steps.zeros(
        METRICS,
        logits=jax.ShapeDtypeStruct((1, NUM_CLASSES), jnp.float32),
        label=jax.ShapeDtypeStruct((1,), jnp.int32),
    )


def finished(sums, measured, prefix=""):
    return steps.finish(measured, jax.device_get(sums), {}, prefix=prefix).scalars


def swapped(label, flipped, mirror=(1, 0, 2)):
    return jnp.where(flipped, jnp.asarray(mirror)[label], label)


@pytest.fixture(scope="module")
def trained():
    """Forty steps on three clips, with averages: the states on the way (copied) and the sums of
    each step.
    """
    step, state = build(ema_decay=0.9)
    batch, states, sums = some_batch(3), [jax.tree.map(np.array, state)], []
    for _ in range(40):
        before = state
        state, out = step(state, batch)
        assert before.params["conv"]["kernel"].is_deleted()  # donated
        states.append(jax.tree.map(np.array, state))
        sums.append(out)
    return states, sums


def test_three_clips_are_overfitted(trained):
    states, sums = trained
    first, last = finished(sums[0], TRAINED), finished(sums[-1], TRAINED)
    assert first["loss"] > 0.7 and last["loss"] < 0.1 and last["top1"] == 1
    assert states[-1].step == 40 and states[-1].step.dtype == np.int32
    assert steps.all_finite(functools.reduce(metrics.add, sums))
    batch = some_batch(3)
    predict = jax.jit(predict_step())
    evaluated, _ = predict(steps.eval_variables(states[-1]), batch, no_clips())
    result = finished(evaluated, METRICS, "val/")
    assert result["val/top1"] == result["val/mean_class"] == 1 and result["val/num_clips"] == 3


def test_averages_follow_their_recurrence(trained):
    states, _ = trained
    expected = {"params": states[0].params, "batch_stats": states[0].batch_stats}
    for step, state in enumerate(states[1:]):
        d = min(0.9, (1 + step) / (10 + step))
        new = {"params": state.params, "batch_stats": state.batch_stats}
        expected = jax.tree.map(
            lambda a, b, d=d: d * np.float64(a) + (1 - d) * np.float64(b), expected, new
        )
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), states[-1].ema, expected)
    assert steps.eval_variables(states[-1]) is states[-1].ema


def test_first_sums_are_of_the_parameters_before_the_update():
    """Loss, top-1 and gradient step against the module applied by hand; a masked clip adds nothing
    to them.
    """
    step, state = build(dropout=0.0)
    batch = some_batch(4) | {"mask": jnp.array([1.0, 1.0, 0.0, 1.0])}
    variables = jax.tree.map(jnp.copy, {"params": state.params, "batch_stats": state.batch_stats})
    assert state.ema == ()

    @jax.jit
    def by_hand(params):
        video = (batch["video"].astype(jnp.float32) / 255 - 0.5) / 0.25
        logits, _ = Tiny(dropout=0.0).apply(
            variables | {"params": params}, video, train=True, mutable=["batch_stats"]
        )
        log_p = jax.nn.log_softmax(logits)
        return -(log_p[0, 0] + log_p[1, 1] + log_p[3, 0]) / 3, logits

    loss, logits = by_hand(variables["params"])
    _, sums = step(state, batch)
    result = finished(sums, TRAINED)
    np.testing.assert_allclose(result["loss"], loss, rtol=1e-5)
    right = np.argmax(np.asarray(logits), -1) == np.asarray(batch["label"])
    np.testing.assert_allclose(result["top1"], right[[0, 1, 3]].mean())
    assert result["num_clips"] == 3


def test_dropout_follows_the_step_and_nothing_else():
    step, state = build(dropout=0.5)
    copy = functools.partial(jax.tree.map, jnp.copy)
    batch = some_batch(3)
    _, first = step(copy(state), batch)
    _, again = step(copy(state), batch)
    _, later = step(copy(state).replace(step=jnp.int32(1)), batch)
    assert first["loss"][0] == again["loss"][0] != later["loss"][0]


def test_metrics_are_against_the_swapped_labels():
    """Flipping every clip and swapping its label equals flipping and relabelling beforehand."""
    swap = np.array([1, 0, 2])
    batch = some_batch(6)
    flipping, state = build(dropout=0.0, flip=1.0, flip_label=swapped)
    plain, same = build(dropout=0.0)
    flipped = batch | {
        "video": batch["video"][..., ::-1, :],
        "label": jnp.asarray(swap)[batch["label"]],
    }
    _, a = flipping(state, batch)
    _, b = plain(same, flipped)
    np.testing.assert_allclose(a["loss"][0], b["loss"][0], rtol=1e-6)
    assert a["top1"][0] == b["top1"][0]


def test_a_non_finite_loss_is_found_later():
    step, state = build()
    total = None
    for i in range(3):
        batch = some_batch(3) | ({"label": jnp.array([0, 1, 7])} if i == 1 else {})
        state, sums = step(state, batch)
        total = sums if total is None else metrics.add(total, sums)
        assert steps.all_finite(total) == (i == 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_one_number_that_is_not_finite_is_found(dtype):
    tree = {"kernel": jnp.ones((2, 3), dtype), "more": [jnp.zeros(()), jnp.arange(4)]}
    assert steps.is_finite(tree)
    for wrong in (jnp.nan, jnp.inf, -jnp.inf):
        assert not steps.is_finite(tree | {"bias": jnp.array([0.0, wrong])})
        if dtype != "int32":
            assert not steps.is_finite({"kernel": tree["kernel"].at[1, 2].set(wrong)})


def test_clips_of_a_prediction():
    _, state = build()
    batch = some_batch(4) | {"mask": jnp.array([1.0, 1.0, 1.0, 0.0])}
    variables = steps.eval_variables(state)
    sums, rows = jax.jit(predict_step())(variables, batch, no_clips())
    logits = np.asarray(Tiny().apply(variables, INPUTS(batch), train=False), np.float64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(rows["scores"], p, rtol=1e-5)
    np.testing.assert_array_equal(rows["label"], batch["label"])
    loss = -np.log(p[np.arange(4), batch["label"]])
    np.testing.assert_allclose(rows["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(finished(sums, METRICS)["loss"], loss[:3].mean(), rtol=1e-5)


def test_a_module_without_batch_statistics():
    class Linear(nn.Module):
        @nn.compact
        def __call__(self, video, *, train):
            return nn.Dense(NUM_CLASSES)(video.reshape(video.shape[0], -1))

    tx = make_optimiser(
        name="sgd", schedule=make_schedule(name="constant", learning_rate=1e-3, num_steps=1)
    )
    state = steps.make_init(Linear(), tx, ema=True)(jax.random.key(0), jnp.zeros((1, 2, 6, 6, 3)))
    step = steps.make_train_step(Linear(), tx, loss=cross_entropy, inputs=INPUTS, ema_decay=0.5)
    state, _ = jax.jit(step, donate_argnums=0)(state, some_batch(3))
    assert state.batch_stats == {} and state.ema["batch_stats"] == {}


def on_many_devices():
    """Runs where there are 8 devices: prints the largest deviation from one device, and
    collectives in augmentation.
    """
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    settings = {
        "flip": 0.5,
        "rotate": 10.0,
        "scale": (0.9, 1.1),
        "brightness": 0.2,
        "contrast": 0.2,
        "flip_label": swapped,
    }
    predict = jax.jit(predict_step())
    step, state = build(ema_decay=0.9, **settings)
    start, results = jax.device_get(state), {}
    for count in (1, 2, 4, 8):
        mesh = jax.make_mesh(
            (count,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:count]
        )
        split, whole = (
            NamedSharding(mesh, PartitionSpec("data")),
            NamedSharding(mesh, PartitionSpec()),
        )
        state, batch = jax.device_put(start, whole), jax.device_put(some_batch(8), split)
        for _ in range(2):
            state, sums = step(state, batch)
        evaluated, clips = predict(steps.eval_variables(state), batch, no_clips())
        results[count] = jax.device_get((state, sums, evaluated, clips))
    deviation = {
        count: max(
            jax.tree.leaves(
                jax.tree.map(lambda a, b: float(np.abs(a - b).max()), result, results[1])
            )
        )
        for count, result in results.items()
    }
    text = jax.jit(make_augment(**settings)).lower(batch).compile().as_text()
    collectives = [
        name
        for name in ("all-gather", "all-reduce", "all-to-all", "collective-permute")
        if name in text
    ]
    print(json.dumps({"deviation": deviation, "collectives": collectives}))


def test_one_two_four_and_eight_devices_are_equal(on_devices):
    result = on_devices(__file__, "on_many_devices", 8)
    assert set(result["deviation"]) == {"1", "2", "4", "8"}
    assert max(result["deviation"].values()) < 1e-5, result
    assert result["collectives"] == []  # each device augments its own clips
