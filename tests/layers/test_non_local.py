"""The non-local block against NumPy, and that it is the identity at first."""

import jax
import numpy as np
import pytest

from vidjax.layers.non_local import NonLocal

X = np.random.default_rng(0).standard_normal((2, 3, 4, 6, 8), np.float32)


def variables_of(module, *, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), X, train=False))
    return jax.tree.map(lambda leaf: 0.3 * rng.standard_normal(leaf.shape, np.float32) ** 2, shapes)


def linear(x, layer):
    return x @ layer["kernel"].astype(np.float64) + layer["bias"]


def reference(x, variables):
    """Wang et al., equations 1 to 6, position by position, in evaluation."""
    params = variables["params"]
    statistics = variables["batch_stats"]["norm"]
    pooled = x.reshape(2, 3, 2, 2, 3, 2, 8).max((3, 5)).reshape(2, -1, 8)  # of 1x2x2
    keys, values = linear(pooled, params["key"]), linear(pooled, params["value"])
    y = np.zeros((2, 72, 4))
    for clip in range(2):
        for i, query in enumerate(linear(x[clip].reshape(72, 8), params["query"])):
            logits = keys[clip] @ query / 2  # half of 8 channels, whose root is 2
            weights = np.exp(logits - logits.max())
            y[clip, i] = weights @ values[clip] / weights.sum()
    y = linear(y, params["out"]).reshape(x.shape)
    y = (y - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5)
    return x + y * params["norm"]["scale"] + params["norm"]["bias"]


def test_against_the_formula():
    module = NonLocal()
    variables = variables_of(module)
    expected = reference(X.astype(np.float64), variables)
    got = module.apply(variables, X, train=False)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("use_norm", [True, False])
def test_it_is_the_identity_at_first(use_norm):
    module = NonLocal(use_norm)
    y, variables = module.init_with_output(jax.random.key(0), X, train=False)
    np.testing.assert_array_equal(y, X)
    assert ("norm" in variables["params"]) == use_norm
    other = module.apply(variables_of(module), X, train=False)
    assert np.abs(other - X).max() > 0.1


def test_a_change_anywhere_reaches_every_position():
    """Unlike a convolution, and without a pooled maximum that hides it."""
    module = NonLocal()
    variables = variables_of(module)
    changed = X.copy()
    changed[:, 0, 0, 0] += 2
    difference = np.abs(
        module.apply(variables, changed, train=False) - module.apply(variables, X, train=False)
    )
    assert (difference.max((0, 4)) > 0).all()


def test_a_map_of_one_position_is_allowed():
    module = NonLocal()
    y, _ = module.init_with_output(jax.random.key(0), X[:, :1, :1, :1], train=False)
    assert y.shape == (2, 1, 1, 1, 8)
