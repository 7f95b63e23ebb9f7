"""Pooling where it is more than the maximum of a full window: edges, padding, windows larger than what there is."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.pool import avg_pool, max_pool

CLIP = -np.arange(1, 2 * 3 * 5 + 1, dtype=np.float32).reshape(1, 2, 3, 5, 1)  # below zero: padding must not count


@pytest.mark.parametrize(
    "window, padding, shape",
    [
        ((2, 2, 2), (0, 0, 0), (1, 1, 2)),  # what a window does not fill is dropped
        ((1, 2, 2), (0, 1, 1), (2, 2, 3)),
        ((4, 2, 8), (0, 0, 0), (1, 1, 1)),  # two windows shrink
        ((3, 2, 2), (1, 0, 0), (1, 1, 2)),  # one does not: with its padding it fits
    ],
)
def test_max_pool(window, padding, shape):
    got = max_pool(jnp.asarray(CLIP), window, padding=padding)
    assert got.shape == (1, *shape, 1)
    padded = np.pad(CLIP[0, ..., 0], [(p, p) for p in padding], constant_values=-np.inf)
    for index in np.ndindex(shape):
        cut = tuple(slice(i * k, i * k + k) for i, k in zip(index, window, strict=True))
        assert got[(0, *index, 0)] == padded[cut].max()


def test_padding_counts_in_neither_sum_nor_number():
    got = avg_pool(jnp.asarray(CLIP), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    np.testing.assert_allclose(got[0, 0, 0, 0, 0], CLIP[0, 0, :2, :2].mean(), rtol=1e-6)
    whole = avg_pool(jnp.asarray(CLIP), (9, 9, 9))
    np.testing.assert_allclose(whole, CLIP.mean(axis=(1, 2, 3), keepdims=True), rtol=1e-6)
