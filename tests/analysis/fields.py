"""What the tests of receptive fields share: a narrow network and what is told of its endpoints."""

import jax
import jax.numpy as jnp

from vidjax import models
from vidjax.analysis import counts


def shapes_of_variables(module, shape):
    return jax.eval_shape(
        lambda: module.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False)
    )


def by_endpoint(module, shape):
    """name: (time, height, width)."""
    video = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    rows = counts.endpoints(module, shapes_of_variables(module, shape), video)
    return {row.name: row.receptive_fields[0] for row in rows}


def network(name, variant, **fields):
    return models.build(name, variant=variant, num_classes=5, width=0.1, **fields)
