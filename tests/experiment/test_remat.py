"""`config.remat`: the same update, from less memory."""

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import optax
import pytest

from vidjax import models
from vidjax.learn import steps
from vidjax.learn.losses import cross_entropy

pytestmark = pytest.mark.sweep  # tests/layers/test_remat.py proves it for a block by default


@pytest.fixture(scope="module")
def both():
    """For each value of `remat`: (state after an update, sums, bytes of temporary values)."""
    module = models.build(
        "resnet3d", variant="r3d_10", num_classes=5, width=0.1, lowering="product"
    )
    tx, shape = optax.sgd(0.1, momentum=0.9), (2, 8, 32, 32, 3)
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    batch = {
        "video": noise,
        "label": jnp.arange(2),
        "mask": jnp.ones(2),
        "draw": jnp.zeros(2, jnp.uint32),
    }
    init = jax.jit(steps.make_init(module, tx))
    state = init(jax.random.key(0), noise)

    def one(remat):
        step = steps.make_train_step(
            module, tx, loss=cross_entropy, inputs=lambda batch: batch["video"], remat=remat
        )
        program = jax.jit(step).lower(state, batch).compile()
        return *program(state, batch), program.memory_analysis().temp_size_in_bytes

    return one(False), one(True)


def test_the_update_is_the_same(both):
    (state, sums, _), (other, other_sums, _) = both
    np.testing.assert_allclose(sums["loss"][0], other_sums["loss"][0], rtol=1e-6)
    for name in ("params", "batch_stats"):
        a, b = (
            np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(getattr(s, name))])
            for s in (state, other)
        )
        assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(a)


@pytest.mark.skipif(
    jaxlib.__version__ < "0.11" and jax.default_backend() == "cpu", reason="that compiler undoes it"
)
def test_it_takes_less_memory(both):
    (*_, usual), (*_, less) = both
    assert less < 0.85 * usual, f"{less:,} against {usual:,}"
