"""Interpolation to the size of a clip: what is held, and what it costs."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.layers.resize import resize_axis


@pytest.mark.parametrize(
    "num_steps, num_frames, expected",
    [
        (3, 5, [0, 0, 1, 1, 2]),  # a stride of two
        (2, 5, [0, 0, 0, 0, 1]),  # of four
        (4, 4, [0, 1, 2, 3]),
        (1, 3, [0, 0, 0]),
    ],
)
def test_the_last_step_that_is_not_later_is_held(num_steps, num_frames, expected):
    steps = jnp.arange(num_steps, dtype=jnp.bfloat16).reshape(1, -1, 1)
    found = resize_axis(steps, 1, num_frames, kind="hold")
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(found, int)[0, :, 0], expected)


def test_holding_makes_no_matrix():
    """The clip on which a stream counts its frames has 20,160: a matrix would take 800 MB."""
    steps = jax.ShapeDtypeStruct((1, 10080, 3), jnp.float32)
    tracemalloc.start()
    shape = jax.eval_shape(lambda x: resize_axis(x, 1, 20160, kind="hold"), steps)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shape.shape == (1, 20160, 3)
    assert peak < 10e6
