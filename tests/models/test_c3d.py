"""C3D against its published sizes, and clips of other sizes than it was made for."""

import jax
import jax.numpy as jnp
import pytest

from vidjax import models
from vidjax.analysis import counts


def count(variant, num_classes, size=(16, 112, 112)):
    """The endpoints of a classifier, from shapes alone, and all its parameters."""
    module, shape = models.build("c3d", variant=variant, num_classes=num_classes), (1, *size, 3)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape)))
    rows = counts.endpoints(module, variables, jax.ShapeDtypeStruct(shape, jnp.float32))
    return rows, counts.num_parameters(variables)


@pytest.mark.parametrize("num_classes, published", [(101, 78409573), (487, 79991015)])
def test_parameters_and_multiply_adds_are_the_published(num_classes, published):
    rows, num_parameters = count("c3d", num_classes)
    assert num_parameters == published == sum(row.num_parameters for row in rows)
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(38.5474, rel=1e-3)


def test_with_normalisation_the_wide_layers_give_way_to_an_average():
    rows, num_parameters = count("c3d_bn", 101)
    convolutions = 27 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512)
    channels = 64 + 128 + 2 * 256 + 4 * 512
    assert (
        num_parameters == convolutions + 3 * channels + (512 + 1) * 101
    )  # bias, scale and shift of each channel
    assert [row.shapes[0] for row in rows if row.name == "features"] == [(1, 1, 4, 4, 512)]


@pytest.mark.parametrize(
    "size, expected",  # behind the stem and the four stages
    [
        (
            (16, 112, 112),
            [(16, 56, 56), (8, 28, 28), (4, 14, 14), (2, 7, 7), (1, 4, 4)],
        ),  # figure 3
        ((35, 55, 90), [(35, 27, 45), (17, 13, 22), (8, 6, 11), (4, 3, 5), (2, 2, 3)]),
        (
            (1, 17, 33),
            [(1, 8, 16), (1, 4, 8), (1, 2, 4), (1, 1, 2), (1, 1, 2)],
        ),  # an axis of one stays
    ],
)
def test_shapes_of_endpoints(size, expected):
    rows, _ = count("c3d", 3, size)
    *stages, features, _ = [row.shapes[0] for row in rows]
    channels = (64, 128, 256, 512, 512)
    assert stages == [(1, *sizes, c) for sizes, c in zip(expected, channels, strict=True)]
    assert features == (1, 1, 1, 1, 4096)
