"""Fused answers as evaluations: the scores that go in come out, whatever the task."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import tasks
from vidjax.core.errors import UserError
from vidjax.experiment import fusion

LOSSES = {"classification": "cross_entropy", "multilabel": "binary_cross_entropy"}


def task(name):
    return tasks.build(name, ("a", "b", "c"), loss=LOSSES[name], settings={})


def answers(name, *, seed=0):
    noise = np.random.default_rng(seed)
    scores, label = noise.random((20, 3)), np.arange(20) % 3
    if name == "classification":
        scores /= scores.sum(1, keepdims=True)
    else:
        label = np.eye(3, dtype=np.float32)[label]
    ids = tuple(f"clip{i}" for i in range(20))
    return fusion.RunAnswers(Path("run"), 3, ids, ("a", "b", "c"), label, np.float32(scores))


@pytest.mark.parametrize("name", LOSSES)
def test_the_scores_of_one_run_are_its_own(name):
    one = answers(name)
    fused = fusion.fuse(task(name), [one])
    np.testing.assert_allclose(fused.answers.rows["scores"], one.scores, atol=1e-5)
    assert fused.how == {"how": "weights", "weights": [1.0]}
    expected = np.log(one.scores)
    chosen = expected[np.arange(20), one.label] if name == "classification" else None
    if chosen is not None:
        assert fused.answers.scalars["loss"] == pytest.approx(-chosen.mean(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("fit", fusion.FITS)
def test_a_fit_on_its_own_labels_prefers_the_run_that_knows(name, fit):
    knows, guesses = answers(name), answers(name, seed=1)
    truth = np.eye(3)[knows.label] if name == "classification" else knows.label
    knows = dataclasses.replace(knows, scores=np.float32(0.1 + 0.8 * truth))
    fused = fusion.fuse(task(name), [knows, guesses], fit=fit, training=[knows, guesses])
    best = "top1" if name == "classification" else "map"
    assert fused.answers.scalars[best] == pytest.approx(1)
    if fit == "weights":
        assert fused.how["weights"][0] > 0.9


def test_what_cannot_be_fused_is_told():
    other = dataclasses.replace(task("classification"), scores=jnp.tanh)
    with pytest.raises(UserError, match="task classification cannot be fused"):
        fusion.fuse(other, [answers("classification")])
    one = answers("classification")
    one.label[4] = -1
    with pytest.raises(UserError, match="Clip clip4 has no label"):
        fusion.fuse(task("classification"), [one])
