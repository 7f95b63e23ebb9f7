"""Channel-separated networks: published sizes, and what ip has beyond ir.

A block in NumPy is in test_resnet3d_50.
"""

import jax
import jax.numpy as jnp
import pytest

from vidjax import models
from vidjax.analysis import counts


def abstract(module, size):
    """(variables, video) as shapes, computing nothing."""
    shape = (1, *size, 3)
    return jax.eval_shape(
        lambda: module.init(jax.random.key(0), jnp.zeros(shape))
    ), jax.ShapeDtypeStruct(shape, "f4")


@pytest.mark.sweep  # test_published.py counts nearly all of these, too
@pytest.mark.parametrize(
    # csn_r101 as pytorchvideo states it, the others as the authors do, in millions with one digit
    "variant, params, gmacs",
    [("csn_r101", 22213776, 73.757), ("csn_r152", 29.6e6, 96.7), ("csn_ip_r152", 32.8e6, 108.8)],
)
def test_parameters_and_multiply_adds_are_the_published(variant, params, gmacs):
    module = models.build("csn", variant=variant, num_classes=400)
    variables, video = abstract(module, (32, 256, 256))
    rows = counts.endpoints(module, variables, video)
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(gmacs, rel=1e-3)
    assert counts.num_parameters(variables) == (
        params if isinstance(params, int) else pytest.approx(params, rel=0.01)
    )


def test_shapes_of_endpoints():
    module = models.build("csn", variant="csn_r50", num_classes=5)
    rows = counts.endpoints(module, *abstract(module, (9, 33, 47)))
    assert [row.shapes[0][1:] for row in rows[:5]] == [
        (9, 9, 12, 64),
        (9, 9, 12, 256),
        (5, 5, 6, 512),
        (3, 3, 3, 1024),
        (2, 2, 2, 2048),
    ]


@pytest.mark.parametrize("width", [1.0, 0.1])
def test_ip_has_one_convolution_more_in_each_block(width):
    plain, preserved = (
        abstract(models.build("csn", variant=v, num_classes=5, width=width), (2, 16, 16))[0][
            "params"
        ]["backbone"]
        for v in ("csn_r50", "csn_ip_r50")
    )
    for name in plain:
        if name != "stem":
            assert set(preserved[name]) - set(plain[name]) == {"lead"}
            kernels = [preserved[name][conv]["conv"]["kernel"].shape for conv in ("lead", "conv2")]
            inner = kernels[0][-1]
            assert kernels == [(1, 1, 1, inner, inner), (3, 3, 3, 1, inner)]
