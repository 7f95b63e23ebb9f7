"""Pre-activation ResNets over clips: sizes, shapes, and what a block does to its input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError
from vidjax.models.preact_resnet import Block

# counted from the published architecture, for 400 classes
PARAMETERS = {
    "preact_resnet_18": 33408208,
    "preact_resnet_34": 63717840,
    "preact_resnet_50": 47014608,
}


def build(variant, **fields):
    return models.build("preact_resnet", variant=variant, num_classes=400, **fields)


def abstract(module, size):
    """(variables, video) as shapes, computing nothing."""
    video = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(video.shape))), video


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameters(variant):
    variables, _ = abstract(build(variant), (2, 16, 16))
    assert counts.num_parameters(variables) == PARAMETERS[variant]


def test_shapes_of_endpoints():
    module = build("preact_resnet_10", width=0.25)
    rows = counts.endpoints(module, *abstract(module, (16, 112, 112)))
    assert [row.shapes[0][1:] for row in rows[:-1]] == [
        (8, 28, 28, 16),
        (8, 28, 28, 16),
        (4, 14, 14, 32),
        (2, 7, 7, 64),
        (1, 4, 4, 128),
        (1, 4, 4, 128),
    ]


@pytest.mark.parametrize("basic", [True, False])
def test_a_block_of_zero_kernels_passes_its_input_on(basic):
    """Negative values, too: nothing stands in the shortcut or behind the sum."""
    block = Block(4, 2, basic=basic)
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 3, 4), np.float32)
    variables = jax.eval_shape(lambda: block.init(jax.random.key(0), x, train=False))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variables)
    np.testing.assert_array_equal(block.apply(zeros, x, train=False), x)


def test_a_convolution_reads_what_is_normalised_and_activated():
    """Against NumPy, where every kernel is 1x1x1: its centre is the only tap that is not zero."""
    block = Block(3, 3, basic=True)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 2, 2, 2, 3), np.float32)
    taps = rng.standard_normal((2, 3, 3))
    params, stats = {}, {}
    y = np.float64(x)
    for name, tap in zip(("conv1", "conv2"), taps, strict=True):
        scale, bias, mean = rng.standard_normal((3, 3))
        var = rng.uniform(0.5, 2, 3)
        kernel = np.zeros((3, 3, 3, 3, 3), np.float32)
        kernel[1, 1, 1] = tap
        params[name] = {"norm": {"scale": scale, "bias": bias}, "conv": {"kernel": kernel}}
        stats[name] = {"norm": {"mean": mean, "var": var}}
        y = (y - mean) / np.sqrt(var + 1e-5) * scale + bias
        y = np.maximum(y, 0) @ tap
    variables = jax.tree.map(jnp.float32, {"params": params, "batch_stats": stats})
    got = block.apply(variables, x, train=False)
    np.testing.assert_allclose(got, x + y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"depths": (1, 1, 1)}, "model.depths is .*; it has 4 entries, one for each stage"),
        ({"width": 0.0}, "model.width is 0.0; it is above 0"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        build("preact_resnet_18", **fields)
