"""I3D and S3D: published sizes, what their windows do to odd sizes, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.layers import inception
from vidjax.layers.style import Style


def abstract(module, shape):
    """(variables, video) as shapes, computing nothing."""
    video = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape))), video


def shapes(name, clip):
    """[T, H, W] of each endpoint."""
    module = models.build(
        name, variant=next(iter(models.family(name).VARIANTS)), num_classes=2, width=0.1
    )
    rows = counts.endpoints(module, *abstract(module, (1, *clip, 3)))
    return {row.name: row.shapes[0][1:4] for row in rows if row.name != "logits"}


@pytest.mark.sweep  # test_published.py counts nearly all of these, too
@pytest.mark.parametrize(
    "name, variant, clip, num_parameters, billions",
    [  # 400 classes; S3D as torchvision states it, I3D counted from the authors' network
        ("i3d", "i3d_inception", (64, 224, 224, 3), 12_697_264, 111.153),
        ("i3d", "i3d_inception_flow", (64, 224, 224, 2), 12_675_312, None),
        ("s3d", "s3d", (16, 224, 224, 3), 8_320_048, 17.979),
    ],
)
def test_parameters_and_multiply_adds_are_the_published(
    name, variant, clip, num_parameters, billions
):
    module = models.build(name, variant=variant, num_classes=400)
    variables, video = abstract(module, (1, *clip))
    assert counts.num_parameters(variables) == num_parameters
    rows = counts.endpoints(module, variables, video)
    assert sum(row.num_parameters for row in rows) == num_parameters
    if billions:
        assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(billions, rel=1e-3)
    assert [row.shapes[0][-1] for row in rows] == [64, 192, 480, 832, 1024, 1024, 400]


@pytest.mark.parametrize("name", ["i3d", "s3d"])
def test_shapes_of_endpoints(name):
    """Figure 3 of the I3D paper: strides 2 in time at the stem and before stages 3 and 4."""
    assert shapes(name, (64, 224, 224)) == {
        "stem": (32, 112, 112),
        "stage1": (32, 56, 56),
        "stage2": (32, 28, 28),
        "stage3": (16, 14, 14),
        "stage4": (8, 7, 7),
        "features": (7, 1, 1),
    }


def test_i3d_rounds_up_and_s3d_drops_what_is_left_before_the_last_stage():
    i3d, s3d = (shapes(name, (17, 261, 333)) for name in ("i3d", "s3d"))
    assert i3d["stage3"] == s3d["stage3"] == (5, 17, 21)
    assert i3d["stage4"] == (3, 9, 11) and i3d["features"] == (2, 3, 5)
    assert s3d["stage4"] == (2, 8, 10) and s3d["features"] == (1, 2, 4)


@pytest.mark.parametrize("name", ["i3d", "s3d"])
def test_a_clip_too_small_for_a_window_shrinks_it(name):
    assert set(shapes(name, (1, 1, 1)).values()) == {(1, 1, 1)}
    assert shapes(name, (8, 56, 56))["features"] == (1, 1, 1)


def test_a_block_is_four_branches_in_their_order():
    """The direct and the pooled branch by hand, the other two by their place."""
    block = inception.Block((2, 3, 4, 1, 2, 3), style=Style(epsilon=1e-3))
    x = np.random.default_rng(0).standard_normal((1, 3, 4, 5, 6), np.float32)
    y, variables = jax.jit(lambda: block.init_with_output(jax.random.key(0), x, train=False))()
    assert y.shape == (1, 3, 4, 5, 2 + 4 + 2 + 3)
    kernels = {name: unit["conv"]["kernel"][0, 0, 0] for name, unit in variables["params"].items()}
    scale = 1 / np.sqrt(1 + 1e-3)  # of a normalisation that has seen nothing
    np.testing.assert_allclose(y[..., :2], np.maximum(x @ kernels["direct"] * scale, 0), atol=1e-5)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(1, 2, 3))
    largest = windows.max(axis=(-3, -2, -1))
    np.testing.assert_allclose(
        y[..., -3:], np.maximum(largest @ kernels["pooled"] * scale, 0), atol=1e-5
    )


def test_half_precision_sums_the_last_average_in_float32():
    """98 values: a sum in bfloat16 has eight bits for them."""
    module = models.build(
        "i3d", variant="i3d_inception", num_classes=2, width=0.05, dtype="bfloat16"
    )
    shape = (1, 16, 224, 224, 3)
    rows = jax.make_jaxpr(lambda v, x: module.backbone.apply(v, x, train=False)["features"])(
        jax.eval_shape(
            lambda: module.backbone.init(jax.random.key(0), jnp.zeros(shape), train=False)
        ),
        jax.ShapeDtypeStruct(shape, jnp.float32),
    )
    sums = [eqn for eqn in rows.eqns if "window_sum" in eqn.primitive.name]
    assert sums and all(eqn.outvars[0].aval.dtype == jnp.float32 for eqn in sums)
    assert rows.out_avals[0].dtype == jnp.bfloat16


@pytest.mark.parametrize("variant, channels", [("i3d_inception", 2), ("i3d_inception_flow", 3)])
def test_another_number_of_channels_is_refused(variant, channels):
    module = models.build("i3d", variant=variant, num_classes=2, width=0.1)
    with pytest.raises(
        UserError,
        match=rf"takes clips of in_channels={5 - channels}, and these have {channels}; i3d",
    ):
        abstract(module, (1, 4, 32, 32, channels))
