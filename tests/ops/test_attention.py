"""Attention against NumPy in float64, and its softmax in half precision."""

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.ops.attention import attention

RNG = np.random.default_rng(0)
QUERIES = RNG.standard_normal((2, 5, 4), np.float32)
KEYS = RNG.standard_normal((2, 7, 4), np.float32)
VALUES = RNG.standard_normal((2, 7, 3), np.float32)


def reference(queries, keys, values, scale):
    result = np.zeros((*queries.shape[:2], values.shape[2]))
    for clip in range(len(queries)):
        for position, query in enumerate(queries[clip].astype(np.float64)):
            weights = np.exp(scale * (keys[clip].astype(np.float64) @ query))
            result[clip, position] = weights @ values[clip] / weights.sum()
    return result


def test_means_are_weighted_by_a_softmax():
    by_default = attention(QUERIES, KEYS, VALUES)
    np.testing.assert_allclose(by_default, reference(QUERIES, KEYS, VALUES, 0.5), rtol=1e-5)
    scaled = attention(QUERIES, KEYS, VALUES, scale=2.0)
    np.testing.assert_allclose(scaled, reference(QUERIES, KEYS, VALUES, 2.0), rtol=1e-4, atol=1e-6)


def test_equal_keys_give_the_plain_mean():
    same = jnp.broadcast_to(KEYS[:, :1], KEYS.shape)
    expected = np.broadcast_to(VALUES.mean(1, keepdims=True), (2, 5, 3))
    np.testing.assert_allclose(attention(QUERIES, same, VALUES), expected, rtol=1e-5, atol=1e-6)


def test_half_precision_has_its_softmax_in_float32():
    """In its program, exponentials and their sum are of float32."""
    half = [jnp.asarray(array, "bfloat16") for array in (QUERIES, KEYS, VALUES)]
    program = str(jax.make_jaxpr(attention)(*half))
    assert "exp" in program
    for line in program.splitlines():
        if " exp " in line or "reduce_sum" in line:
            assert "f32" in line.split("=")[0]
    assert attention(*half).dtype == jnp.bfloat16
