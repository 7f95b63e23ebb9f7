"""Each normalisation against NumPy, and what frozen batch normalisation leaves alone."""

import jax
import numpy as np
import pytest

from vidjax.layers.norm import Norm, num_groups
from vidjax.layers.style import Style

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 4, 5, 12), np.float32) * 2 + 1
SCALE, BIAS = RNG.standard_normal((2, 12), np.float32)
MEAN, VAR = RNG.standard_normal(12, np.float32), 1 + RNG.random(12, np.float32)


def normalised(x, axes):
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5)


def in_groups(x, groups):
    """Group norm over time, space and the channels of a group."""
    grouped = x.reshape(*x.shape[:4], groups, -1)
    return normalised(grouped, (1, 2, 3, 5)).reshape(x.shape)


EXPECTED = {
    ("batch", True): normalised(X, (0, 1, 2, 3)),
    ("batch", False): (X - MEAN) / np.sqrt(VAR + 1e-5),
    ("frozen", True): (X - MEAN) / np.sqrt(VAR + 1e-5),
    ("frozen", False): (X - MEAN) / np.sqrt(VAR + 1e-5),
    ("group", True): in_groups(X, 3),
    ("group", False): in_groups(X, 3),
    ("layer", True): normalised(X, (4,)),
    ("layer", False): normalised(X, (4,)),
}


def variables(norm):
    tree = {"params": {"scale": SCALE, "bias": BIAS}}
    if norm in ("batch", "frozen"):
        tree["batch_stats"] = {"mean": MEAN, "var": VAR}
    return tree


@pytest.mark.parametrize("norm, train", EXPECTED)
def test_by_hand(norm, train):
    module = Norm(style=Style(norm=norm))
    y, changed = module.apply(variables(norm), X, train=train, mutable=["batch_stats"])
    np.testing.assert_allclose(y, EXPECTED[norm, train] * SCALE + BIAS, rtol=1e-3, atol=1e-4)
    moved = norm == "batch" and train
    if norm in ("batch", "frozen"):
        assert (changed["batch_stats"]["mean"] != MEAN).any() == moved
    else:
        assert not changed.get("batch_stats")


@pytest.mark.parametrize("norm", ["batch", "frozen", "group", "layer"])
@pytest.mark.parametrize("zero_scale", [False, True])
def test_initial_values(norm, zero_scale):
    module = Norm(style=Style(norm=norm), zero_scale=zero_scale)
    made = module.init(jax.random.key(0), X, train=True)
    assert set(made["params"]) == {"scale", "bias"}
    assert (made["params"]["scale"] == (0 if zero_scale else 1)).all()
    assert (made["params"]["bias"] == 0).all()
    assert ("batch_stats" in made) == (norm in ("batch", "frozen"))


def test_frozen_passes_a_gradient_to_its_input_alone():
    module = Norm(style=Style(norm="frozen"))

    def total(variables, x):
        return (module.apply(variables, x, train=True) ** 2).sum()

    of_variables, of_input = jax.grad(total, argnums=(0, 1))(variables("frozen"), X)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(of_variables))
    assert (of_input != 0).any()


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_clip_does_not_depend_on_the_others(norm):
    module = Norm(style=Style(norm=norm))
    both = module.apply(variables(norm), X, train=True)
    alone = module.apply(variables(norm), X[1:], train=True)
    np.testing.assert_allclose(both[1:], alone, rtol=1e-5, atol=1e-5)


def test_half_precision_in_and_out():
    for norm in ("batch", "frozen", "group", "layer"):
        module = Norm(style=Style(norm=norm, dtype="bfloat16"))
        y = module.apply(variables(norm), X, train=False)
        assert y.dtype == "bfloat16"


@pytest.mark.parametrize(
    "channels, groups", [(1, 1), (6, 1), (8, 2), (45, 9), (64, 16), (144, 24), (512, 32), (509, 1)]
)
def test_groups_divide_the_channels(channels, groups):
    assert num_groups(channels) == groups and channels % groups == 0


def test_epsilon_and_momentum_are_choices():
    style = Style(epsilon=0.5, momentum=0.75)
    y, changed = Norm(style=style).apply(variables("batch"), X, train=True, mutable=["batch_stats"])
    mean, var = X.mean((0, 1, 2, 3)), X.var((0, 1, 2, 3))
    expected = (X - mean) / np.sqrt(var + 0.5) * SCALE + BIAS
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        changed["batch_stats"]["mean"], 0.75 * MEAN + 0.25 * mean, rtol=1e-4, atol=1e-5
    )
