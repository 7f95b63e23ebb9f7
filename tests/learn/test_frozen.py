"""What is frozen keeps its bits through decay, momentum, clipping and averages; the rest learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.learn import optim, steps
from vidjax.learn.losses import cross_entropy

NETWORKS = {
    "tiny3d": ({"variant": "tiny3d"}, (2, 4, 16, 16, 3)),
    "cnn_rnn": (
        {"variant": "gru_mobilenet_v2_035", "head": {"name": "recurrent", "width": 8}},
        (2, 2, 32, 32, 3),
    ),
}
OPTIMISERS = {
    "sgd": {"name": "sgd", "momentum": 0.9, "nesterov": True},
    "adamw": {"name": "adamw"},
}


def build(name, optimiser, frozen):
    """(network, optimiser) as an experiment builds them."""
    module = models.build(name, num_classes=3, width=0.05, frozen=frozen, **NETWORKS[name][0])
    schedule = optim.make_schedule(name="constant", learning_rate=0.1, num_steps=10)
    tx = optim.make_optimiser(
        schedule=schedule, weight_decay=0.1, clip_norm=1.0, **OPTIMISERS[optimiser]
    )
    return module, optim.frozen(tx, ("backbone",) if module.frozen else ())


def trained(name, optimiser, frozen):
    """The states before and after three steps, on the host."""
    module, tx = build(name, optimiser, frozen)
    rng = np.random.default_rng(0)
    batch = {
        "video": jnp.asarray(rng.normal(size=NETWORKS[name][1]), jnp.float32),
        "label": jnp.array([0, 2]),
        "mask": jnp.ones(2),
        "draw": jnp.arange(2, dtype=jnp.uint32),
    }
    state = jax.jit(steps.make_init(module, tx, ema=True))(jax.random.key(0), batch["video"])
    step = steps.make_train_step(
        module, tx, loss=cross_entropy, inputs=lambda batch: batch["video"], ema_decay=0.9
    )
    step, before = jax.jit(step), jax.device_get(state)
    for _ in range(3):
        state, sums = step(state, batch)
        assert steps.all_finite(sums)
    return before, jax.device_get(state)


def is_same(before, after):
    """Whether each array has the same bits, by its path."""
    values = dict(jax.tree.leaves_with_path(after))
    return {path: np.array_equal(x, values[path]) for path, x in jax.tree.leaves_with_path(before)}


@pytest.mark.parametrize(
    "name, optimiser, frozen",
    [
        ("tiny3d", "adamw", "backbone"),
        ("tiny3d", "sgd", "weights"),
        pytest.param("tiny3d", "sgd", "backbone", marks=pytest.mark.sweep),
        pytest.param("tiny3d", "adamw", "weights", marks=pytest.mark.sweep),
        pytest.param("cnn_rnn", "adamw", "backbone", marks=pytest.mark.sweep),
        pytest.param("cnn_rnn", "adamw", "weights", marks=pytest.mark.sweep),
    ],
)
def test_a_frozen_backbone_keeps_its_bits(name, optimiser, frozen):
    before, after = trained(name, optimiser, frozen)
    now = {"params": after.params, "batch_stats": after.batch_stats}
    for old, new in (
        ({"params": before.params, "batch_stats": before.batch_stats}, now),
        (before.ema, after.ema),
    ):
        weights = is_same(old["params"]["backbone"], new["params"]["backbone"])
        assert weights and all(weights.values())
        head = is_same(old["params"]["head"], new["params"]["head"])
        assert head and not any(head.values())
        statistics = is_same(old["batch_stats"]["backbone"], new["batch_stats"]["backbone"])
        # With "weights" they follow the clips, as those of a network in training do.
        assert statistics and set(statistics.values()) == {frozen == "backbone"}


def test_the_optimiser_keeps_no_state_of_what_is_frozen():
    module, tx = build("tiny3d", "adamw", "backbone")
    state = jax.eval_shape(
        steps.make_init(module, tx), jax.random.key(0), jnp.zeros(NETWORKS["tiny3d"][1])
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(state.opt_state)]
    head = sum(leaf.size for leaf in jax.tree.leaves(state.params["head"]))
    assert 2 * head <= sum(sizes) <= 2 * head + 4  # two moments, and some counts of steps
