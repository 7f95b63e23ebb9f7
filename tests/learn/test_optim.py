"""Schedules at points computed by hand, optimisers against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax.core.errors import UserError
from vidjax.learn.optim import (
    OPTIMISERS,
    SCHEDULES,
    decay_mask,
    make_optimiser,
    make_schedule,
    scaled_learning_rate,
)


def rates(steps, **settings):
    return np.asarray(
        jax.jit(jax.vmap(make_schedule(learning_rate=0.4, **settings)))(jnp.array(steps))
    )


def test_cosine():
    result = rates(
        [0, 5, 10, 60, 110, 200], name="cosine", num_steps=110, warmup_steps=10, end_factor=0.1
    )
    np.testing.assert_allclose(result, [0, 0.2, 0.4, 0.4 * 0.55, 0.04, 0.04], rtol=1e-6)
    quarter = rates([25], name="cosine", num_steps=100)
    np.testing.assert_allclose(quarter, 0.4 * (1 + np.sqrt(0.5)) / 2, rtol=1e-6)


def test_step():
    result = rates(
        [0, 2, 4, 39, 40, 79, 80, 99],
        name="step",
        num_steps=100,
        warmup_steps=4,
        boundaries=(0.4, 0.8),
        factor=0.1,
    )
    np.testing.assert_allclose(result, [0, 0.2, 0.4, 0.4, 0.04, 0.04, 0.004, 0.004], rtol=1e-6)


def test_constant():
    np.testing.assert_allclose(
        rates([0, 1, 2, 999], name="constant", num_steps=10, warmup_steps=2), [0, 0.2, 0.4, 0.4]
    )
    np.testing.assert_allclose(rates([0, 9], name="constant", num_steps=10), 0.4)


def test_schedule_of_a_python_step_and_a_run_shorter_than_its_warmup():
    schedule = make_schedule(name="cosine", learning_rate=1.0, num_steps=2, warmup_steps=8)
    np.testing.assert_allclose([float(schedule(step)) for step in range(3)], [0, 0.125, 0.25])


def test_scaled_learning_rate():
    assert scaled_learning_rate(0.1, 64, 256) == pytest.approx(0.025)
    assert scaled_learning_rate(0.1, 64, 0) == 0.1


@pytest.mark.parametrize(
    "settings", [{"warmup_steps": -1}, {"num_steps": 0}, {"boundaries": (0.5, 1.0)}]
)
def test_schedule_settings_out_of_range(settings):
    with pytest.raises(UserError):
        make_schedule(**{"name": "step", "learning_rate": 0.1, "num_steps": 10} | settings)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UserError, match="schedule.name: There is no .*'cosin'.*'cosine'"):
        make_schedule(name="cosin", learning_rate=0.1, num_steps=10)
    with pytest.raises(UserError, match="(?s)optim.name: There is no .*'lamb'.*sgd, adamw, adam"):
        make_optimiser(name="lamb", schedule=optax.constant_schedule(0.1))


# Reference updates in float64: (gradient, slots, step from 1) -> direction


def numpy_sgd(g, slots, step, *, momentum=0.9, nesterov=False):
    slots["v"] = momentum * slots.get("v", 0) + g
    return g + momentum * slots["v"] if nesterov else slots["v"]


def numpy_adam(g, slots, step, *, b1=0.8, b2=0.95, eps=1e-6, amsgrad=False):
    slots["m"] = b1 * slots.get("m", 0) + (1 - b1) * g
    slots["v"] = b2 * slots.get("v", 0) + (1 - b2) * g**2
    m, v = slots["m"] / (1 - b1**step), slots["v"] / (1 - b2**step)
    if amsgrad:
        v = slots["max"] = np.maximum(slots.get("max", 0), v)
    return m / (np.sqrt(v) + eps)


ADAM = {"b1": 0.8, "b2": 0.95, "eps": 1e-6}
CASES = {
    "sgd": ("sgd", {"momentum": 0.9}, numpy_sgd, {}),
    "sgd plain": ("sgd", {"momentum": 0.0}, numpy_sgd, {"momentum": 0.0}),
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}, numpy_sgd, {"nesterov": True}),
    "adamw": ("adamw", ADAM, numpy_adam, {}),
    "adam": ("adam", ADAM, numpy_adam, {}),
    "amsgrad": ("adam", ADAM | {"amsgrad": True}, numpy_adam, {"amsgrad": True}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("clip_norm", [0.0, 2.0])
def test_optimiser_equals_numpy(case, clip_norm):
    name, settings, direction, reference_settings = CASES[case]
    rng = np.random.default_rng(0)
    shapes = {"kernel": (4, 3), "bias": (3,), "scale": (3,)}
    start = {k: rng.normal(size=shape) for k, shape in shapes.items()}
    # falling sizes, so that AMSGrad's maximum matters, and norms on both sides of clip_norm
    gradients = [
        {k: 3 * 0.3**i * rng.normal(size=shape) for k, shape in shapes.items()} for i in range(5)
    ]
    schedule = make_schedule(name="constant", learning_rate=0.05, num_steps=5, warmup_steps=2)
    tx = make_optimiser(
        name=name, schedule=schedule, weight_decay=0.3, clip_norm=clip_norm, **settings
    )

    @jax.jit
    def update(params, opt_state, gradient):
        updates, opt_state = tx.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), start)
    opt_state = tx.init(params)
    expected, slots = {k: v.copy() for k, v in start.items()}, {k: {} for k in start}
    norms = []
    for i, gradient in enumerate(gradients):
        params, opt_state = update(params, opt_state, jax.tree.map(jnp.float32, gradient))
        norms.append(np.sqrt(sum((g**2).sum() for g in gradient.values())))
        shrink = min(1, clip_norm / norms[-1]) if clip_norm else 1
        for k in expected:
            move = direction(gradient[k] * shrink, slots[k], i + 1, **reference_settings)
            decay = 0.3 if k == "kernel" else 0.0
            expected[k] = expected[k] - 0.05 * min(1, i / 2) * (move + decay * expected[k])
    assert min(norms) < 2 < max(norms)
    for k in expected:
        np.testing.assert_allclose(params[k], expected[k], atol=3e-6, err_msg=k)


def test_decay_mask():
    params = {
        "conv": {"kernel": jnp.ones((3, 3, 3, 1, 2)), "bias": jnp.ones(2)},
        "norm": {"scale": jnp.ones(2)},
    }
    assert decay_mask(params) == {"conv": {"kernel": True, "bias": False}, "norm": {"scale": False}}


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_pair_descends(name, schedule):
    tx = make_optimiser(
        name=name,
        schedule=make_schedule(name=schedule, learning_rate=0.02, num_steps=40),
        clip_norm=5.0,
    )

    def step(carry, _):
        params, opt_state = carry
        loss, gradient = jax.value_and_grad(lambda p: (p["w"] ** 2).sum())(params)
        updates, opt_state = tx.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    params = {"w": jnp.ones((2, 2))}
    _, losses = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=40))(params)
    assert losses[-1] < 0.7 * losses[0]
