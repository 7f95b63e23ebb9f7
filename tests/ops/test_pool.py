"""Pooling at the edges, with padding, and with windows larger than the clip; gradients."""

import functools
import json

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.padding import pairs
from vidjax.ops.pool import avg_pool, max_pool

CLIP = -np.arange(1, 2 * 3 * 5 + 1, dtype=np.float32).reshape(
    1, 2, 3, 5, 1
)  # below zero: padding must not count


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


@pytest.mark.parametrize(
    "size, window, stride, expected",  # the starts of windows that PyTorch's ceil_mode has
    [
        (6, 3, 2, [0, 2, 4]),  # the last window has one value less
        (7, 3, 2, [0, 2, 4]),  # and here none is left over
        (5, 2, 2, [0, 2, 4]),
        (2, 3, 2, [0]),  # the window is larger than the clip
        (1, 3, 2, [0]),
        (5, 2, 4, [0, 4]),
        (4, 2, 4, [0]),  # a window from 4 would have no value
    ],
)
def test_ceil_mode_leaves_no_value_over(size, window, stride, expected):
    x = -np.arange(1.0, 1 + size, dtype=np.float32)
    got = max_pool(x.reshape(1, 1, 1, size, 1), (1, 1, window), (1, 1, stride), "CEIL")
    assert list(got.ravel()) == [x[start : start + window].max() for start in expected]


def test_padding_counts_in_neither_sum_nor_number():
    got = avg_pool(jnp.asarray(CLIP), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    np.testing.assert_allclose(got[0, 0, 0, 0, 0], CLIP[0, 0, :2, :2].mean(), rtol=1e-6)
    assert avg_pool(jnp.asarray(CLIP, jnp.bfloat16), (1, 3, 3)).dtype == jnp.bfloat16
    whole = avg_pool(jnp.asarray(CLIP), (9, 9, 9))
    np.testing.assert_allclose(whole, CLIP.mean(axis=(1, 2, 3), keepdims=True), rtol=1e-6)


@pytest.mark.parametrize(
    "shape, window, stride, padding",
    [
        ((2, 4, 7, 6, 4), (1, 3, 3), (1, 2, 2), (0, 1, 1)),  # in two halves
        ((2, 4, 7, 6, 3), (1, 3, 3), (1, 2, 2), (0, 1, 1)),  # an odd number of channels
        ((1, 4, 7, 6, 2), (1, 2, 2), (1, 2, 2), (0, 0, 0)),  # few positions
        ((1, 4, 7, 6, 2), (2, 1, 1), (2, 1, 1), (0, 0, 0)),
        (
            (1, 4, 7, 6, 2),
            (2, 2, 2),
            (3, 3, 3),
            (0, 0, 0),
        ),  # what lies between windows gets nothing
        ((1, 4, 7, 6, 2), (9, 3, 1), (2, 2, 2), (0, 1, 0)),  # a window that shrinks
        ((2, 4, 7, 6, 2), (2, 2, 3), (2, 1, 2), "SAME"),
        ((3, 4, 5, 6, 2), (3, 3, 3), (1, 1, 1), (1, 1, 1)),
        ((1, 4, 7, 6, 2), (4, 4, 5), (2, 2, 2), (1, 1, 1)),  # the gradient of the compiler
    ],
)
def test_the_gradient_goes_to_the_first_maximum(shape, window, stride, padding):
    """Against a walk over all windows in float64, with ties."""
    rng = np.random.default_rng(0)
    x = np.float32(rng.integers(0, 4, shape))
    pool = functools.partial(max_pool, window=window, stride=stride, padding=padding)
    dy = np.float32(rng.standard_normal(jax.eval_shape(pool, x).shape))

    def both(x, dy):
        y, vjp = jax.vjp(pool, x)
        return y, *vjp(dy)

    y, dx = jax.jit(both)(x, dy)
    pads = pairs(padding, x.shape[1:4], window, stride)
    window = [
        min(k, size + sum(pad)) for k, size, pad in zip(window, x.shape[1:4], pads, strict=True)
    ]
    padded = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=-np.inf)
    expected = np.zeros_like(padded, np.float64)
    for n, t, h, w, c in np.ndindex(y.shape):
        corner = [o * s for o, s in zip((t, h, w), stride, strict=True)]
        where = tuple(slice(o, o + k) for o, k in zip(corner, window, strict=True))
        best = np.unravel_index(np.argmax(padded[(n, *where, c)]), window)
        assert padded[(n, *where, c)][best] == y[n, t, h, w, c]
        expected[(n, *(o + k for o, k in zip(corner, best, strict=True)), c)] += dy[n, t, h, w, c]
    inside = tuple(
        slice(lo, size - hi) for (lo, hi), size in zip(pads, padded.shape[1:4], strict=True)
    )
    np.testing.assert_allclose(dx, expected[(slice(None), *inside)], atol=1e-5)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_not_a_number_is_not_lost(place):
    x = jnp.zeros((1, 1, 1, 3, 1)).at[0, 0, 0, place].set(jnp.nan)
    y, _ = jax.vjp(lambda x: max_pool(x, (1, 1, 3)), x)
    assert jnp.isnan(y).all() and jnp.isnan(max_pool(x, (1, 1, 3))).all()


STEM = functools.partial(max_pool, window=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))


def gradient(x):
    return jax.grad(lambda x: (STEM(x) ** 2).sum())(x)


def test_under_vmap_and_in_half_precision():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 1, 2, 6, 7, 4)), jnp.bfloat16)
    got = jax.jit(jax.vmap(gradient))(x)
    assert got.dtype == jnp.bfloat16
    one = jax.jit(gradient)
    np.testing.assert_array_equal(got, jnp.stack([one(clip) for clip in x]))
    np.testing.assert_allclose(np.float32(got), one(jnp.float32(x[:, 0]))[:, None], rtol=2e-2)


def test_export_for_other_platforms_with_any_number_of_clips():
    (n,) = jax.export.symbolic_shape("n")
    shape = jax.ShapeDtypeStruct((n, 2, 6, 7, 4), jnp.float32)
    exported = jax.export.export(jax.jit(gradient), platforms=("cpu", "cuda", "tpu"))(shape)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 2, 6, 7, 4), np.float32))
    np.testing.assert_array_equal(exported.call(x), jax.jit(gradient)(x))


def on_four_devices():
    """Runs where there are 4 devices: prints how often a batch sharded over them is gathered."""
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    x = jax.device_put(
        np.float32(np.arange(8 * 72 * 4).reshape(8, 2, 6, 6, 4) % 7),
        NamedSharding(mesh, PartitionSpec("data")),
    )
    program = jax.jit(gradient).lower(x).compile()
    np.testing.assert_array_equal(program(x), gradient(np.asarray(x)))
    print(json.dumps(program.as_text().count("all-gather")))


def test_a_batch_cut_over_four_devices_stays_so(on_devices):
    assert on_devices(__file__, "on_four_devices", 4) == 0
