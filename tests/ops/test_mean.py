"""Means of probabilities against NumPy in float64, and where float32 rounds a probability to 0."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.mean import log_mean_probabilities


def expected_of(logits, axis, weights=None):
    """By the definition: softmax, weighted mean, logarithm."""
    x = np.asarray(logits, float)
    shares = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    if weights is None:
        return np.log(shares.mean(axis=axis))
    return np.log((weights * shares).sum(axis=axis))


@pytest.mark.parametrize("axis", [1, (1, 2)])
def test_the_mean_over_axes(axis):
    logits = 3 * np.random.default_rng(0).standard_normal((2, 3, 4, 5), np.float32)
    found = log_mean_probabilities(jnp.asarray(logits), axis)
    np.testing.assert_allclose(found, expected_of(logits, axis), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shares", [(0.25, 0.75), (1.0, 0.0)])
def test_a_weighted_mean(shares):
    logits = 3 * np.random.default_rng(1).standard_normal((2, 4, 5), np.float32)
    weights = np.reshape(shares, (2, 1, 1))
    found = log_mean_probabilities(jnp.asarray(logits), 0, weights=jnp.asarray(weights))
    np.testing.assert_allclose(found, expected_of(logits, 0, weights), rtol=1e-5, atol=1e-6)


def test_a_sure_network_has_a_finite_loss():
    """A probability of exp(-200) is 0 in float32; its logarithm is not infinite."""
    logits = np.array([[[0.0, 200.0]], [[0.0, 210.0]]], np.float32)
    found = log_mean_probabilities(jnp.asarray(logits), 0)
    np.testing.assert_allclose(found, expected_of(logits, 0), rtol=1e-5)
