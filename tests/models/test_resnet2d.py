"""ResNets and MobileNetV2 for images: published sizes, images and clips, paddings, widths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.variables import drawn
from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError


def abstract(module, shape):
    """(variables, video) as shapes, computing nothing."""
    video = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape))), video


@pytest.mark.sweep  # test_published.py counts nearly all of these, too
@pytest.mark.parametrize(
    "name, variant, params, gmacs",
    # torchvision's tables of weights
    [
        ("resnet2d", "resnet18", 11_689_512, 1.814),
        ("resnet2d", "resnet34", 21_797_672, 3.664),
        ("resnet2d", "resnet50", 25_557_032, 4.089),
        ("resnet2d", "resnet101", 44_549_160, 7.801),
        ("mobilenet_v2", "mobilenet_v2", 3_504_872, 0.301),
    ],
)
def test_parameters_and_multiply_adds_are_the_published(name, variant, params, gmacs):
    module = models.build(name, variant=variant, num_classes=1000)
    rows = counts.endpoints(module, *abstract(module, (1, 224, 224, 3)))
    assert sum(row.num_parameters for row in rows) == params
    assert sum(row.multiply_adds for row in rows) / 1e9 == pytest.approx(gmacs, rel=2e-3)


def some_variables(module, shape):
    """Random variables, drawn by NumPy: jax's own would have to be compiled."""
    return drawn(abstract(module, shape)[0])


def test_an_image_is_a_clip_of_one_frame_and_a_clip_the_mean_of_its_frames():
    module = models.build("resnet2d", variant="resnet18", num_classes=5, width=0.1)
    clip = np.random.default_rng(0).standard_normal((2, 3, 33, 20, 3), np.float32)
    images = clip.reshape(6, 33, 20, 3)
    variables = some_variables(module, images.shape)
    apply = jax.jit(module.apply)
    logits = apply(variables, images)
    assert logits.shape == (6, 5)
    np.testing.assert_allclose(apply(variables, clip), logits.reshape(2, 3, 5).mean(1), atol=1e-5)


@pytest.mark.parametrize(
    "name, variant", [("resnet2d", "resnet50"), ("mobilenet_v2", "mobilenet_v2_035")]
)
def test_endpoints_of_images_have_a_time_axis(name, variant):
    module = models.build(name, variant=variant, num_classes=5)
    rows = counts.endpoints(module, *abstract(module, (2, 33, 20, 3)))
    assert all(row.shapes[0][:2] == (2, 1) and len(row.shapes[0]) == 5 for row in rows[:-1])
    assert rows[-1].shapes == ((2, 5),)


@pytest.mark.parametrize(
    "fields, channels",  # of the stem, the last stage and the last layer
    [
        ({"variant": "mobilenet_v2", "width": 0.35}, (16, 112, 1280)),
        ({"variant": "mobilenet_v2_035"}, (16, 112, 1280)),
        ({"variant": "mobilenet_v2_140"}, (48, 448, 1792)),
        ({"variant": "mobilenet_v2_140", "width": 0.5}, (24, 224, 1280)),
    ],
)
def test_the_last_layer_is_never_narrow(fields, channels):
    module = models.build("mobilenet_v2", num_classes=2, **fields)
    shapes = {
        row.name: row.shapes[0]
        for row in counts.endpoints(module, *abstract(module, (1, 64, 64, 3)))
    }
    assert tuple(shapes[name][-1] for name in ("stem", "stage7", "features")) == channels


@pytest.mark.parametrize(
    "padding, expected", [("half", ((1, 1), (1, 1))), ("SAME", ((0, 1), (1, 1)))]
)
def test_where_a_stride_of_two_starts(padding, expected):
    """The zeros around 8x9 pixels, in the stem."""
    module = models.build(
        "mobilenet_v2", variant="mobilenet_v2", num_classes=2, padding=padding, lowering="native"
    )
    jaxpr = jax.make_jaxpr(module.apply)(*abstract(module, (1, 8, 9, 3)))
    first = next(eqn for eqn in jaxpr.jaxpr.eqns if eqn.primitive.name == "conv_general_dilated")
    assert first.params["padding"] == ((0, 0), *expected)


def test_a_wrong_padding_is_refused():
    with pytest.raises(UserError, match="model.padding is 'VALID'; it is one of half, SAME"):
        models.build("mobilenet_v2", variant="mobilenet_v2", num_classes=2, padding="VALID")
