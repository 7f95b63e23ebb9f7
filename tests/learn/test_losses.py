"""Losses against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.core.errors import UserError
from vidjax.learn.losses import (
    LOSSES,
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_of_places,
    hard_label,
)


def reference(logits, label, smoothing):
    logits = logits.astype(np.float64)
    num_classes = logits.shape[-1]
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    target = np.eye(num_classes)[label] * (1 - smoothing) + smoothing / num_classes
    return -(target * np.log(p)).sum(-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_cross_entropy(shape, smoothing):
    rng = np.random.default_rng(0)
    logits, label = rng.normal(0, 4, (*shape, 7)).astype(np.float32), rng.integers(0, 7, shape)
    loss = cross_entropy(jnp.asarray(logits), jnp.asarray(label), label_smoothing=smoothing)
    assert loss.shape == shape
    np.testing.assert_allclose(loss, reference(logits, label, smoothing), rtol=2e-6)


def test_float32_inside():
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 4, (5, 300)), jnp.bfloat16)
    label = np.arange(5)
    loss = cross_entropy(logits, jnp.asarray(label))
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(
        loss, reference(np.asarray(logits, np.float32), label, 0.0), rtol=2e-6
    )


def test_large_logits_stay_finite():
    loss = cross_entropy(
        jnp.array([[1e4, 0.0], [1e4, 0.0]]), jnp.array([0, 1]), label_smoothing=0.1
    )
    np.testing.assert_allclose(loss, [500.0, 9500.0])


def test_gradient_is_softmax_minus_target():
    logits, label = (
        np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32),
        np.array([0, 1, 4, 2]),
    )
    gradient = jax.grad(lambda x: cross_entropy(x, jnp.asarray(label), label_smoothing=0.2).sum())(
        logits
    )
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    np.testing.assert_allclose(gradient, p - (0.8 * np.eye(5)[label] + 0.04), atol=1e-6)


def test_a_label_that_is_no_class_gives_nan():
    loss = np.asarray(cross_entropy(jnp.zeros((3, 4)), jnp.array([-1, 4, 3])))
    np.testing.assert_array_equal(np.isnan(loss), [True, True, False])


def test_smoothing_out_of_range():
    with pytest.raises(UserError, match="label_smoothing"):
        cross_entropy(jnp.zeros((1, 2)), jnp.zeros(1, jnp.int32), label_smoothing=1.0)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_unreduced_float32(name):
    label = {"binary_cross_entropy": jnp.zeros((3, 4))}.get(name, jnp.zeros(3, jnp.int32))
    loss = LOSSES[name](jnp.zeros((3, 4), jnp.bfloat16), label)
    assert loss.shape == (3,) and loss.dtype == jnp.float32


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy(smoothing):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, (6, 7)).astype(np.float32)
    label = rng.integers(0, 2, (6, 7)).astype(np.float32)
    loss = binary_cross_entropy(jnp.asarray(logits), jnp.asarray(label), label_smoothing=smoothing)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    target = label * (1 - smoothing) + smoothing / 2
    expected = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean(-1)
    np.testing.assert_allclose(loss, expected, rtol=2e-6)


def test_binary_cross_entropy_of_large_logits_stays_finite():
    loss = binary_cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([[1.0, 1.0]]))
    np.testing.assert_allclose(loss, [5000.0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mixed_label_has_the_mean_of_the_losses(smoothing):
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(0, 4, (5, 7)), jnp.float32)
    first, second = rng.integers(0, 7, (2, 5))
    soft = jnp.asarray((0.3 * np.eye(7)[first] + 0.7 * np.eye(7)[second]), jnp.float32)
    value = cross_entropy(logits, soft, label_smoothing=smoothing)
    parts = [reference(np.asarray(logits), label, smoothing) for label in (first, second)]
    np.testing.assert_allclose(value, 0.3 * parts[0] + 0.7 * parts[1], rtol=2e-6)


def test_answers_for_other_frames_than_the_labels_are_refused():
    label = jnp.zeros((2, 8), jnp.int32)
    with pytest.raises(UserError, match=r"answers for \[4\] frames .* its label has \[8\]"):
        cross_entropy_of_places(jnp.zeros((2, 4, 5)), label)
    soft = jax.nn.one_hot(label, 5)
    assert cross_entropy_of_places(jnp.zeros((2, 8, 5)), soft).shape == (2,)


def test_the_hard_label_of_a_soft_one():
    logits = jnp.zeros((3, 4))
    soft = jnp.array([[0.1, 0, 0.6, 0.3], [0, 0, 0, 0], [0, 1, 0, 0]])
    assert hard_label(soft, logits).tolist() == [2, -1, 1]
    assert hard_label(jnp.array([3, -1, 0]), logits).tolist() == [3, -1, 0]
