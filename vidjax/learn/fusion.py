"""Late fusion: the scores of several networks become one answer, on the host, in float64.

By a weighted average, whose weights are given or fitted, or by a linear support vector machine on
the stacked scores (Simonyan and Zisserman, Two-Stream Convolutional Networks for Action Recognition
in Videos, NIPS 2014, section 2; the features are L2-normalised softmax scores).

Scores are [R, N, K]: of R networks, for N clips and K classes. Labels are class indices, int [N],
or several truths a clip, 0 or 1, [N, K].
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PENALTY = 1.0  # C of the SVM, liblinear's default
GAP = 1e-5  # the SVM is done when its duality gap is at most this share of its objective
MAX_ITERATIONS = 20_000
TINY = 1e-12  # the least probability whose logarithm is taken


def average(scores: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """The weighted mean of scores [R, N, K] -> [N, K]; weights [R] need not sum to 1."""
    shares = np.asarray(weights, np.float64)
    return np.tensordot(shares / shares.sum(), np.asarray(scores, np.float64), axes=1)


def fit_weights(scores: np.ndarray, label: np.ndarray, *, num_rounds: int = 1000) -> np.ndarray:
    """The weights [R], which sum to 1, whose average gives the labels the highest likelihood.

    The average of probabilities is a mixture of R distributions. So expectation maximisation finds
    the weights: each round makes the likelihood higher, and it has no other maximum.
    """
    likelihood = likelihoods(scores, label)  # [R, M]
    weights = np.full(len(scores), 1 / len(scores))
    for _ in range(num_rounds):
        joint = weights[:, None] * likelihood
        before, weights = weights, (joint / joint.sum(0)).mean(1)
        if np.abs(weights - before).max() < 1e-9:
            break
    return weights


def likelihoods(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The probability of each truth by each network: [R, N] for one class a clip, else [R, N*K]."""
    scores = np.asarray(scores, np.float64)
    if label.ndim == 1:
        chosen = np.take_along_axis(scores, label[None, :, None], axis=2)[..., 0]  # [R, N]
    else:
        chosen = np.where(label[None] > 0.5, scores, 1 - scores).reshape(len(scores), -1)
    return np.maximum(chosen, TINY)


def stacked(scores: np.ndarray) -> np.ndarray:
    """The features of the SVM: scores [R, N, K], each [K] of length 1, side by side: [N, R*K]."""
    scores = np.asarray(scores, np.float64)
    lengths = np.linalg.norm(scores, axis=2, keepdims=True)
    unit = scores / np.maximum(lengths, TINY)
    return unit.transpose(1, 0, 2).reshape(scores.shape[1], -1)  # [N, R*K]


class LinearSvm(NamedTuple):
    """A linear support vector machine a class, each against the rest."""

    kernel: np.ndarray  # [D, K]
    bias: np.ndarray  # [K]

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Features [N, D] -> [N, K], above 0 where a class is more likely than not."""
        return features @ self.kernel + self.bias


def truths(label: np.ndarray, num_classes: int) -> np.ndarray:
    """Labels as -1 and 1, [N, K]."""
    if label.ndim == 1:
        label = np.eye(num_classes)[label]
    return np.where(label > 0.5, 1.0, -1.0)


def fit_svm(features: np.ndarray, truth: np.ndarray, *, penalty: float = PENALTY) -> LinearSvm:
    """Minimises |w|^2 / 2 + penalty * sum of max(0, 1 - truth * (x w)) for each class.

    As in liblinear, x has a 1 behind its features, whose weight is the bias and is penalised, too.

    The dual is a quadratic function of one number a clip in [0, penalty]. Projected gradients with
    Nesterov's momentum, which begins anew where the function rises, maximise it, for all classes at
    a time, until the duality gap proves the answer.

    Args:
        features: [N, D].
        truth: 1 or -1, [N, K].
        penalty: C.
    """
    x = np.concatenate([features, np.ones((len(features), 1))], axis=1)  # [N, D+1]
    step = 1 / np.linalg.norm(x, ord=2) ** 2  # one over the largest curvature of the dual
    alpha = np.zeros_like(truth)
    ahead, momentum = alpha, np.ones(truth.shape[1])
    for iteration in range(MAX_ITERATIONS):
        # The gradient of |w|^2 / 2 - sum(alpha), with w = sum of alpha * truth * x.
        gradient = truth * (x @ (x.T @ (ahead * truth))) - 1
        new = np.clip(ahead - step * gradient, 0, penalty)
        rises = (gradient * (new - alpha)).sum(0) > 0  # [K]
        momentum = np.where(rises, 1.0, momentum)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - alpha)
        alpha, momentum = new, following
        # The gap costs as much as a step, and is not needed at each.
        if iteration % 20 == 0 and _is_done(x, truth, alpha, penalty=penalty):
            break
    w = x.T @ (alpha * truth)  # [D+1, K]
    return LinearSvm(kernel=w[:-1], bias=w[-1])


def _is_done(x: np.ndarray, truth: np.ndarray, alpha: np.ndarray, *, penalty: float) -> bool:
    """Whether the duality gap of every class is small beside its objective."""
    w = x.T @ (alpha * truth)
    half_norms = (w**2).sum(0) / 2
    primal = half_norms + penalty * np.maximum(0, 1 - truth * (x @ w)).sum(0)
    dual = alpha.sum(0) - half_norms
    return bool((primal - dual <= GAP * np.maximum(primal, TINY)).all())
