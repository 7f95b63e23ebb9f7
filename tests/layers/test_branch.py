"""Stochastic depth: which branches are left out, and what stays on average."""

import flax.linen as nn
import jax
import numpy as np

from vidjax.layers.branch import end_of_branch
from vidjax.layers.style import Style

Y = np.random.default_rng(0).standard_normal((400, 1, 2, 2, 3), np.float32)


class Branch(nn.Module):
    drop_rate: float = 0.0
    squeeze_excite: float = 0.0

    @nn.compact
    def __call__(self, y, *, train):
        return end_of_branch(
            y,
            squeeze_excite=self.squeeze_excite,
            drop_rate=self.drop_rate,
            style=Style(),
            train=train,
        )


def test_whole_clips_are_left_out_in_training_and_the_others_scaled_up():
    rngs = {"dropout": jax.random.key(0)}
    out = np.asarray(Branch(drop_rate=0.25).apply({}, Y, train=True, rngs=rngs))
    dropped = (out == 0).all((1, 2, 3, 4))
    np.testing.assert_allclose(out[~dropped], Y[~dropped] / 0.75, rtol=1e-6)
    assert 60 < dropped.sum() < 140  # 100 of 400 are expected; this is over four deviations wide
    again = Branch(drop_rate=0.25).apply({}, Y, train=True, rngs=rngs)
    np.testing.assert_array_equal(out, again)
    other = Branch(drop_rate=0.25).apply({}, Y, train=True, rngs={"dropout": jax.random.key(1)})
    assert (np.asarray(other) != out).any()


def test_evaluation_keeps_every_branch():
    np.testing.assert_array_equal(Branch(drop_rate=0.25).apply({}, Y, train=False), Y)


def test_without_a_rate_and_a_ratio_nothing_is_drawn_or_made():
    out, variables = Branch().init_with_output({}, Y, train=True)
    assert out is Y and variables == {}


def test_the_gate_has_inner_channels_by_the_ratio():
    variables = jax.eval_shape(
        lambda: Branch(squeeze_excite=2 / 3).init(jax.random.key(0), Y, train=True)
    )
    gate = variables["params"]["squeeze_excite"]
    assert gate["reduce"]["kernel"].shape == (3, 2) and gate["expand"]["kernel"].shape == (2, 3)
