"""`remat_blocks`: the same parameters and gradients, from less memory."""

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest

from vidjax import models

CLIP = (2, 2, 64, 64, 3)


@pytest.fixture(scope="module")
def both():
    """Without and with it: (shapes of variables, gradient, bytes of temporary values).

    Six blocks of one size, of which only one at a time has to be in memory.
    """
    video = np.random.default_rng(0).standard_normal(CLIP, np.float32)
    usual = build(remat_blocks=False)
    variables = jax.jit(usual.init)(jax.random.key(0), video)

    def one(module):
        def loss(params, video):
            now = {**variables, "params": params}
            rngs = {"dropout": jax.random.key(1)}
            logits, mutated = module.apply(
                now, video, train=True, mutable=["batch_stats"], rngs=rngs
            )
            return jnp.square(logits).sum(), mutated

        shapes = jax.eval_shape(module.init, jax.random.key(0), video)
        step = jax.jit(jax.grad(loss, has_aux=True)).lower(variables["params"], video).compile()
        result = step(variables["params"], video)
        return shapes, result, step.memory_analysis().temp_size_in_bytes

    return one(usual), one(build(remat_blocks=True))


def build(**fields):
    return models.build(
        "resnet2d",
        variant="resnet18",
        num_classes=5,
        width=0.1,
        depths=(6, 1, 1, 1),
        lowering="native",
        stochastic_depth=0.5,  # the branches that are left out have to be the same ones
        **fields,
    )


def test_parameters_gradients_and_statistics_are_the_same(both):
    (shapes, usual, _), (other_shapes, other, _) = both
    assert shapes == other_shapes
    for a, b in zip(jax.tree.leaves(usual), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(a).max())


@pytest.mark.skipif(
    jaxlib.__version__ < "0.11" and jax.default_backend() == "cpu", reason="that compiler undoes it"
)
def test_it_takes_less_memory(both):
    (*_, usual), (*_, less) = both
    assert less < 0.75 * usual, f"{less:,} against {usual:,}"
