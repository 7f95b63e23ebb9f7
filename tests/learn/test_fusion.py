"""Fusion of scores: averages, fitted weights and the SVM beside scikit-learn's."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.svm import LinearSVC

from vidjax.learn import fusion


@pytest.fixture(scope="module")
def answers():
    """Scores [3, 60, 4] of networks of different worth, and labels."""
    noise = np.random.default_rng(0)
    label = noise.integers(0, 4, 60)
    logits = noise.normal(size=(3, 60, 4))
    for network, worth in enumerate((3.0, 1.0, 0.0)):
        logits[network] += worth * np.eye(4)[label]
    scores = np.exp(logits)
    return scores / scores.sum(-1, keepdims=True), label


def test_average():
    scores = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(fusion.average(scores, (1, 3)), [[0.25, 0.75]])


@pytest.mark.parametrize("several", (False, True))
def test_fitted_weights_are_the_best(answers, several):
    """Beside a general minimiser."""
    scores, label = answers
    if several:
        label = np.eye(4)[label]
    weights = fusion.fit_weights(scores, label)
    assert weights.sum() == pytest.approx(1) and weights.argmax() == 0

    def loss(free):
        w = np.exp(free) / np.exp(free).sum()
        return -np.log((w[:, None] * fusion.likelihoods(scores, label)).sum(0)).mean()

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9})
    assert loss(np.log(np.maximum(weights, 1e-12))) <= best.fun + 1e-7


@pytest.mark.parametrize("penalty", (1.0, 0.1))
def test_the_svm_is_scikit_learns(answers, penalty):
    scores, label = answers
    features = fusion.stacked(scores)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), np.sqrt(3))
    svm = fusion.fit_svm(features, fusion.truths(label, 4), penalty=penalty)
    reference = LinearSVC(
        loss="hinge", C=penalty, tol=1e-9, max_iter=1_000_000, random_state=0
    ).fit(features, label)
    np.testing.assert_allclose(
        svm.margins(features), reference.decision_function(features), atol=5e-3
    )
    assert (svm.margins(features).argmax(1) == reference.predict(features)).all()


def test_the_svm_has_the_least_objective(answers):
    """Beside steps in any direction: the objective is convex."""
    scores, label = answers
    features, truth = fusion.stacked(scores), fusion.truths(label, 4)
    svm = fusion.fit_svm(features, truth)

    def objective(w):
        margins = features @ w[:-1] + w[-1]
        return (w**2).sum(0) / 2 + np.maximum(0, 1 - truth * margins).sum(0)

    w = np.concatenate([svm.kernel, svm.bias[None]])
    least = objective(w)
    noise = np.random.default_rng(1)
    for size in (1e-1, 1e-2):
        for _ in range(50):
            other = objective(w + size * noise.normal(size=w.shape))
            assert (other > least * (1 - 2 * fusion.GAP)).all()


def test_a_svm_of_several_truths(answers):
    scores, label = answers
    both = np.eye(4)[label] + np.eye(4)[(label + 1) % 4]
    svm = fusion.fit_svm(fusion.stacked(scores), fusion.truths(both, 4))
    assert svm.margins(fusion.stacked(scores)).shape == (60, 4)
