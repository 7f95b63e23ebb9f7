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
GAP = 1e-6  # the SVM is done when its duality gap is at most this share of its objective
MAX_STEPS = 200  # about 30 are usual
CENTRING = 0.1  # sigma: a step aims at complementarity products of this share of their mean
STEP_SHARE = 0.99  # a step goes this share of the way to the nearest bound
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

    Args:
        features: [N, D].
        truth: 1 or -1, [N, K].
        penalty: C.
    """
    x = np.concatenate([features, np.ones((len(features), 1))], axis=1)  # [N, D+1]
    w = np.stack([_fit_one(x * side[:, None], penalty) for side in truth.T], axis=1)  # [D+1, K]
    return LinearSvm(kernel=w[:-1], bias=w[-1])


def _fit_one(z: np.ndarray, penalty: float) -> np.ndarray:
    """The w [D] that minimises |w|^2 / 2 + penalty * sum of max(0, 1 - z w); z is [N, D].

    An interior point method on the dual, which has one number a clip, alpha in [0, penalty], and
    w = z^T alpha (Ferris and Munson, Interior-point methods for massive support vector machines,
    SIAM J. Optim. 2002). Each step solves a system of size D only, as N is far larger than D. It
    ends when the duality gap proves the answer.
    """
    num_clips, size = z.shape
    alpha = np.full(num_clips, penalty / 2)
    # the multipliers of alpha >= 0 and of alpha <= penalty
    lower, upper = np.ones(num_clips), np.ones(num_clips)
    for _ in range(MAX_STEPS):
        w = z.T @ alpha
        margins = z @ w
        half_norm = w @ w / 2
        primal = half_norm + penalty * np.maximum(0, 1 - margins).sum()
        dual = alpha.sum() - half_norm
        if primal - dual <= GAP * primal:
            return w
        room = penalty - alpha
        target = CENTRING * (lower @ alpha + upper @ room) / (2 * num_clips)
        # Newton's step for the optimality conditions, with their products at `target`, not at 0:
        # (z z^T + diagonal) change = residual, solved by Woodbury's identity.
        diagonal = lower / alpha + upper / room
        residual = 1 - margins + target / alpha - target / room
        scaled = z / diagonal[:, None]
        small = np.eye(size) + z.T @ scaled  # [D, D]
        solved = np.linalg.solve(small, scaled.T @ residual)
        change = residual / diagonal - scaled @ solved
        change_lower = target / alpha - lower - lower / alpha * change
        change_upper = target / room - upper + upper / room * change
        # Nearly as far as all four stay above 0.
        step = 1.0
        for value, by in (
            (alpha, change),
            (room, -change),
            (lower, change_lower),
            (upper, change_upper),
        ):
            falls = by < 0
            if falls.any():
                step = min(step, STEP_SHARE * (-value[falls] / by[falls]).min())
        alpha = alpha + step * change
        lower = lower + step * change_lower
        upper = upper + step * change_upper
    raise ArithmeticError(f"the SVM has not converged after {MAX_STEPS} steps")
