"""The response norm against a loop in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.response_norm import local_response_norm


@pytest.mark.parametrize("channels, size", [(7, 5), (3, 5), (6, 4), (1, 3)])
def test_it_is_the_formula(channels, size):
    x = np.random.default_rng(0).standard_normal((2, 3, channels), np.float32)
    expected = np.empty_like(x)
    for c in range(channels):
        around = range(max(c - size // 2, 0), min(c + (size - 1) // 2, channels - 1) + 1)
        total = sum(x[..., i].astype(np.float64) ** 2 for i in around)
        expected[..., c] = x[..., c] / (2 + 0.3 * total) ** 0.75
    np.testing.assert_allclose(
        local_response_norm(jnp.asarray(x), size=size, alpha=0.3), expected, rtol=1e-5
    )


def test_sums_of_half_precision_are_of_float32():
    x = jnp.full((1, 5), 300, jnp.float16)  # whose square is above float16's largest number
    y = local_response_norm(x, alpha=1.0, beta=0.5)
    assert y.dtype == jnp.float16
    np.testing.assert_allclose(y[0, 2], 5**-0.5, rtol=1e-3)
