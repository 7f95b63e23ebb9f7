"""ConvColumn against the tutorial's sizes, a column against NumPy, and the smallest clip."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.models.convcolumn import MIN_CLIP, Column


def shapes(variant, size, num_classes=27):
    """(module, its variables' shapes, the clip's) for T, H, W."""
    module, shape = (
        models.build("convcolumn", variant=variant, num_classes=num_classes),
        (1, *size, 3),
    )
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape)))
    return module, variables, jax.ShapeDtypeStruct(shape, jnp.float32)


@pytest.mark.parametrize(
    "variant, published, gmacs", [("5", 2994235, 4.436), ("6", 3886883, 4.437)]
)
def test_parameters_and_multiply_adds_are_the_tutorials(variant, published, gmacs):
    module, variables, video = shapes(f"conv_column_{variant}", (18, 84, 84))
    rows = counts.endpoints(module, variables, video)
    assert counts.num_parameters(variables) == published
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(gmacs, rel=1e-3)
    sizes = [(9, 41, 41), (4, 19, 19), (2, 8, 8), (1, 3, 3), (1, 1, 1), (1, 1, 1)]
    assert [row.shapes[0][1:4] for row in rows[:-1]] == sizes


def test_parameters_fit_clips_of_any_size():
    small, large = (shapes("conv_column_6", size)[1] for size in (MIN_CLIP, (40, 131, 100)))
    assert jax.tree.map(lambda a: a.shape, small) == jax.tree.map(lambda a: a.shape, large)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_clip_below_the_smallest_is_refused(axis):
    size = list(MIN_CLIP)
    size[axis] -= 1
    given = "x".join(map(str, size))
    with pytest.raises(UserError, match=f"convcolumn takes clips of 16x78x78 .*, not {given}"):
        shapes("conv_column_5", size)


def test_a_column_is_what_numpy_makes_of_it():
    video = np.random.default_rng(0).standard_normal((2, 5, 9, 8, 3), np.float32)
    run = jax.jit(lambda v: Column(4).init_with_output(jax.random.key(0), v, train=False))
    (got, variables), x = run(video), video
    for name, pad in (("conv1", 0), ("conv2", 1)):
        conv = variables["params"][name]["conv"]
        x = np.pad(x, ((0, 0), *[(pad, pad)] * 3, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(
            x, (2, 3, 3), (1, 2, 3)
        )  # [N, T, H, W, C, 2, 3, 3]
        x = np.einsum("nthwcijk,ijkcf->nthwf", windows, conv["kernel"]) + conv["bias"]
        x = np.where(x > 0, x, 0.01 * x)
    assert x.shape == (2, 5, 7, 6, 4)
    x = x[:, :4, :6].reshape(2, 2, 2, 3, 2, 3, 2, 4).max((2, 4, 6))
    np.testing.assert_allclose(got, x, atol=1e-5)
