"""Counts of a traced program against counts by hand, for each kind of convolution and product."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from vidjax import models
from vidjax.analysis import counts, receptive_field
from vidjax.layers.style import Style
from vidjax.ops.conv.rule import LOWERINGS


def count(function, *shapes):
    """Multiply-adds of a function of arrays of these shapes."""
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return counts.multiply_adds(jax.make_jaxpr(function)(*arrays).jaxpr)


def convolution(x, kernel, **settings):
    settings = {"window_strides": (1, 1), "padding": "SAME"} | settings
    return lax.conv_general_dilated(
        x, kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings
    )


@pytest.mark.parametrize(
    "x, kernel, settings, expected",
    [
        ((2, 8, 8, 3), (3, 3, 3, 5), {}, 2 * 8 * 8 * 5 * 27),
        ((2, 8, 8, 3), (3, 3, 3, 5), {"window_strides": (2, 2)}, 2 * 4 * 4 * 5 * 27),
        ((2, 8, 8, 3), (3, 3, 3, 5), {"padding": "VALID"}, 2 * 6 * 6 * 5 * 27),
        ((2, 8, 8, 6), (3, 3, 3, 4), {"feature_group_count": 2}, 2 * 8 * 8 * 4 * 27),
        ((2, 8, 8, 6), (3, 3, 1, 6), {"feature_group_count": 6}, 2 * 8 * 8 * 6 * 9),  # depthwise
        ((4, 8, 8, 3), (3, 3, 3, 6), {"batch_group_count": 2}, 2 * 8 * 8 * 6 * 27),
        ((2, 8, 8, 3), (3, 3, 3, 5), {"rhs_dilation": (2, 2)}, 2 * 8 * 8 * 5 * 27),
        # transposed: each of 8x8 inputs spreads over 4x4 outputs
        (
            (1, 8, 8, 3),
            (4, 4, 3, 5),
            {"lhs_dilation": (2, 2), "padding": ((2, 2), (2, 2))},
            8 * 8 * 16 * 15,
        ),
    ],
)
def test_convolutions(x, kernel, settings, expected):
    assert count(lambda x, kernel: convolution(x, kernel, **settings), x, kernel) == expected


def test_products():
    assert count(lambda a, b: a @ b, (3, 4), (4, 5)) == 60
    assert count(lambda a, b: a @ b, (7, 3, 4), (7, 4, 5)) == 7 * 60  # batched
    assert count(lambda a, b: jnp.einsum("abc,bcd->ad", a, b), (2, 3, 4), (3, 4, 5)) == 2 * 5 * 12
    assert count(lambda a: a * 2 + a.sum(), (3, 3)) == 0


def test_loops_and_calls():
    """27 for one product of 3x3; what is around it says how often it runs."""

    def product(a):
        return a @ a

    square = (3, 3)
    custom = jax.custom_vjp(product)
    custom.defvjp(lambda a: (a @ a, a), lambda a, dy: (dy,))
    forward = jax.custom_jvp(product)
    forward.defjvp(lambda primals, tangents: (product(*primals), *tangents))
    assert count(jax.jit(product), square) == 27
    assert count(jax.checkpoint(product), square) == 27
    assert count(custom, square) == 27
    assert count(forward, square) == 27
    assert count(jax.jit(jax.checkpoint(jax.jit(custom))), square) == 27
    assert (
        count(lambda a: lax.scan(lambda c, _: (c @ c, None), a, None, length=4)[0], square)
        == 4 * 27
    )
    assert count(lambda a: lax.fori_loop(0, 5, lambda i, c: c @ c, a), square) == 5 * 27
    assert (
        count(
            lambda a: lax.scan(lambda c, _: (lax.map(product, c), None), a, None, length=4)[0],
            (2, 3, 3),
        )
        == 216
    )
    assert count(lambda a: lax.cond(a[0, 0] > 0, product, lambda a: a @ a @ a, a), square) == 54
    assert (
        count(lambda a: lax.while_loop(lambda c: (c @ c)[0, 0] < 9, product, a), square) == 54
    )  # once each
    assert count(jax.vmap(product), (6, 3, 3)) == 6 * 27


@pytest.mark.parametrize("variant", ["r2plus1d_10", "r2d_18"])
def test_the_lowering_changes_no_count(variant):
    video = jax.ShapeDtypeStruct((1, 5, 30, 31, 3), jnp.float32)
    module = models.build("resnet3d", variant=variant, num_classes=7, width=0.2)
    # The shapes of parameters do not depend on the lowering.
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(video.shape)))
    totals = []
    for lowering in LOWERINGS:
        rows = counts.endpoints(models.with_style(module, lowering=lowering), variables, video)
        totals.append([row.multiply_adds for row in rows])
    assert all(total == totals[0] for total in totals)
    assert sum(totals[0]) > 1e6


def test_endpoints_own_what_no_endpoint_before_them_needed():
    class Two(nn.Module):
        """Two pathways from one stem; the second endpoint needs the first."""

        style: Style = Style()

        @nn.compact
        def __call__(self, video, *, train):
            stem = nn.Dense(4, name="stem")(video)
            left, right = (
                nn.Dense(2, name="left")(stem),
                nn.Dense(3, use_bias=False, name="right")(stem),
            )
            x = nn.BatchNorm(use_running_average=not train, name="norm")(
                left + right.sum(-1, keepdims=True)
            )
            return {"stem": stem, "pathways": (left, right), "features": x, "again": x}

    class Head(nn.Module):
        @nn.compact
        def __call__(self, endpoints, *, clip_shape, train):
            return nn.Dense(5, name="logits")(endpoints["features"].mean((1, 2, 3)))

    module = models.Classifier(Two(), Head())
    video = jax.ShapeDtypeStruct((1, 2, 3, 3, 3), jnp.float32)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(video.shape)))
    rows = counts.endpoints(module, variables, video)
    assert [(row.name, row.num_parameters, row.multiply_adds) for row in rows] == [
        ("stem", 3 * 4 + 4, 18 * 12),
        ("pathways", 4 * 2 + 2 + 4 * 3, 18 * 8 + 18 * 12),
        ("features", 2 + 2, 0),  # scale and bias; statistics are no parameters
        ("again", 0, 0),
        ("logits", 2 * 5 + 5, 10),
    ]
    assert rows[1].shapes == ((1, 2, 3, 3, 2), (1, 2, 3, 3, 3))
    assert counts.num_parameters(variables) == sum(row.num_parameters for row in rows)


def test_both_streams_have_a_receptive_field():
    """Those of one network on frames and on flow are the same, and that of the network alone."""
    settings = {"num_classes": 3, "width": 0.1}
    frames, flow = [
        jax.ShapeDtypeStruct((1, 2, 32, 32, channels), "float32") for channels in (3, 20)
    ]
    rows = {}
    for name, variant, video in (
        ("two_stream", "two_stream_r18", (frames, flow)),
        ("resnet2d", "resnet18", frames),
    ):
        module = models.build(name, variant=variant, **settings)
        key = jax.eval_shape(lambda: jax.random.key(0))
        variables = jax.eval_shape(module.init, key, video)
        for row in counts.endpoints(module, variables, video):
            (axes,) = row.receptive_fields
            rows[name, row.name] = receptive_field.in_words(*axes)
    assert rows["resnet2d", "stage1"] == ("1x4x4", "1", "43x43")
    for stream in ("spatial", "temporal"):
        for stage in ("stem", "stage1", "stage4"):
            assert rows["two_stream", f"{stage}_{stream}"] == rows["resnet2d", stage]
