"""`models.features`: what a backbone gives at an endpoint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.core.errors import UserError


def test_features_are_those_of_the_backbone():
    module = models.build("tiny3d", variant="tiny3d", num_classes=2, width=0.05)
    video = jax.random.normal(jax.random.key(0), (2, 4, 16, 16, 3))
    variables = jax.jit(module.init)(jax.random.key(1), video)
    endpoints = jax.jit(lambda: module.apply(variables, video, method="endpoints_and_logits")[0])()
    of = jax.jit(models.features, static_argnums=(0, 3))
    for endpoint in ("stage1", "features"):
        array = of(module, variables, video, endpoint)
        np.testing.assert_allclose(array, endpoints[endpoint], rtol=1e-5, atol=1e-6)
    with pytest.raises(UserError, match="no endpoint 'stage33'. Did you mean 'stage3'"):
        jax.eval_shape(lambda: models.features(module, variables, video, "stage33"))


def test_precomputed_gives_its_input_to_any_head():
    arrays = jax.random.normal(jax.random.key(0), (3, 2, 1, 1, 5))
    module = models.build("precomputed", variant="features", num_classes=4)
    variables = module.init(jax.random.key(1), arrays)
    assert set(variables["params"]) == {"head"}
    np.testing.assert_array_equal(models.features(module, variables, arrays), arrays)
    logits = variables["params"]["head"]["logits"]
    expected = jnp.mean(arrays, (1, 2, 3)) @ logits["kernel"] + logits["bias"]
    np.testing.assert_allclose(module.apply(variables, arrays), expected, rtol=1e-5, atol=1e-6)
