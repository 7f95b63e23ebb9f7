"""DenseNets over clips: sizes, channels by the paper's rule, and dense connections."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.models.densenet3d import DenseLayer

# counted from the published architecture, for 400 classes
PARAMETERS = {"densenet_121": 11696528, "densenet_201": 26143120}


def build(variant, **fields):
    return models.build("densenet3d", variant=variant, num_classes=400, **fields)


def abstract(module, size):
    """(variables, video) as shapes, computing nothing."""
    video = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(video.shape))), video


@pytest.mark.sweep  # test_published.py counts these, too
@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameters(variant):
    variables, _ = abstract(build(variant), (2, 16, 16))
    assert counts.num_parameters(variables) == PARAMETERS[variant]


@pytest.mark.parametrize(
    "size, sizes",  # of the clip; of the stem, the four blocks and the features
    [
        ((16, 112, 112), [(8, 28, 28), (8, 28, 28), (4, 14, 14), (2, 7, 7), (1, 3, 3), (1, 3, 3)]),
        ((1, 17, 40), [(1, 5, 10), (1, 5, 10), (1, 2, 5), (1, 1, 2), (1, 1, 1), (1, 1, 1)]),
    ],
)
def test_shapes_of_endpoints(size, sizes):
    """Each layer adds `growth` channels, each transition halves them."""
    module = build("densenet_29", depths=(1, 2, 1, 2), growth=8, stem_channels=24)
    rows = counts.endpoints(module, *abstract(module, size))
    assert [row.shapes[0][1:4] for row in rows[:-1]] == sizes
    assert [row.shapes[0][4] for row in rows[:-1]] == [24, 32, 32, 24, 28, 28]


def test_a_layer_keeps_its_input_beside_what_it_adds():
    layer = DenseLayer(growth=2)
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 3, 4), np.float32)
    y, variables = layer.init_with_output(jax.random.key(0), x, train=False)
    assert y.shape == (1, 2, 3, 3, 6)
    np.testing.assert_array_equal(y[..., :4], x)
    kernels = [variables["params"][name]["conv"]["kernel"].shape for name in ("conv1", "conv2")]
    assert kernels == [(1, 1, 1, 4, 8), (3, 3, 3, 8, 2)]  # four times the growth between the two


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"depths": (1, 1, 1)}, "model.depths is .*; it has 4 entries, one for each stage"),
        ({"growth": 0}, "model.growth is 0; it is 1 or more"),
        ({"stem_channels": 0}, "model.stem_channels is 0; it is 1 or more"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        build("densenet_121", **fields)
