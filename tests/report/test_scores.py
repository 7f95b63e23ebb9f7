"""Classes, confused pairs, worst clips and the interval, against NumPy and a published table."""

import math
from pathlib import Path

import numpy as np
import pytest
from vidjax.report.scores import (
    class_scores,
    confused_pairs,
    poster_clip,
    wilson_interval,
    worst_mistakes,
)

from vidjax.report.read import Clip, Evaluation


def make_evaluation(names, confusion, clips=()):
    return Evaluation(
        "validation", 1, int(confusion.sum()), {}, tuple(names), confusion, tuple(clips)
    )


def test_per_class_numbers_against_numpy():
    rng = np.random.default_rng(3)
    confusion = rng.integers(0, 9, (12, 12))
    confusion[4] = 0
    names = [f"class {index}" for index in range(12)]
    evaluation = make_evaluation(names, confusion)
    scores = class_scores(evaluation)
    assert scores[-1].name == "class 4" and np.isnan(scores[-1].accuracy)
    accuracies = [score.accuracy for score in scores[:-1]]
    assert accuracies == sorted(accuracies)
    for score in scores[:-1]:
        row = confusion[names.index(score.name)]
        at = names.index(score.name)
        assert (score.num_clips, score.num_correct) == (row.sum(), row[at])
        assert score.accuracy == pytest.approx(row[at] / row.sum())
        assert (
            score.num_confused == np.delete(row, at).max() == row[names.index(score.confused_with)]
        )
    wrong = confusion - np.diag(np.diag(confusion))
    assert [pair[2] for pair in confused_pairs(evaluation, limit=9)] == sorted(wrong.ravel())[::-1][
        :9
    ]


def test_worst_clips():
    # (id, label, best class, its probability, loss, frames saved)
    table = [
        ("sure", 0, 1, 0.9, 3.0, True),
        ("worst", 1, 0, 0.6, 5.0, True),
        ("lost", 1, 0, 0.99, 9.0, False),
        ("right", 1, 1, 0.95, 6.0, True),
        ("unmeasured", 1, 0, math.nan, math.nan, True),
    ]
    clips = [
        Clip(
            name,
            label,
            (best, 1 - best),
            (probability, 0.0),
            loss,
            Path(f"{name}.png") if saved else None,
        )
        for name, label, best, probability, loss, saved in table
    ]
    evaluation = make_evaluation(["a", "b"], np.eye(2, dtype=int), clips)
    assert [clip.id for clip in worst_mistakes(evaluation)] == ["worst", "sure", "unmeasured"]
    assert [clip.id for clip in worst_mistakes(evaluation, limit=1)] == ["worst"]
    assert poster_clip(evaluation).id == "sure"
    assert poster_clip(make_evaluation(["a", "b"], np.eye(2, dtype=int), clips[2:4])).id == "right"
    assert (
        worst_mistakes(make_evaluation(["a", "b"], np.eye(2, dtype=int), clips[2:3]))[0].id
        == "lost"
    )


def test_wilson_interval_of_the_textbook():
    # 81 of 263: Newcombe, Statistics in Medicine 1998, table I, method 3
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20)[0] == 0.0
