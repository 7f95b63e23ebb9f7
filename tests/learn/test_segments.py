"""Segmental F1 and edit score against the definition, written with sets of frames, and by hand.

Lea et al., Temporal Convolutional Networks for Action Segmentation and Detection, CVPR 2017: a
predicted segment is right if its IoU with the true segment that it overlaps most is at least the
threshold; of several upon one true segment only one is right. Counts are summed over all clips.
The edit score is the Levenshtein distance of the sequences of labels, normalised by the longer.
"""

import functools
import itertools

import numpy as np
import pytest

from vidjax.learn import segments

OVERLAPS = (0.1, 0.25, 0.5)


def frames_of_runs(labels, left_out):
    """[(label, set of frames)] of the runs of a sequence, in order."""
    found = []
    for label, group in itertools.groupby(enumerate(labels), key=lambda pair: pair[1]):
        if label != -1 and label not in left_out:
            found.append((label, {t for t, _ in group}))
    return found


def reference_f1(predicted, truth, overlap, left_out):
    true_positives = num_predicted = num_true = 0
    for labels, true_labels in zip(predicted, truth, strict=True):
        true_runs = frames_of_runs(true_labels, left_out)
        used = set()
        for label, frames in frames_of_runs(labels, left_out):
            num_predicted += 1
            ious = {}
            for number, (true_label, true_frames) in enumerate(true_runs):
                if true_label == label:
                    ious[number] = len(frames & true_frames) / len(frames | true_frames)
            if ious:
                best = max(ious, key=ious.get)
                if ious[best] >= overlap and best not in used:
                    used.add(best)
                    true_positives += 1
        num_true += len(true_runs)
    if true_positives == 0:
        return 0.0 if num_predicted + num_true else float("nan")
    precision, recall = true_positives / num_predicted, true_positives / num_true
    return 2 * precision * recall / (precision + recall)


def reference_edit(predicted, truth, left_out):
    first = tuple(label for label, _ in frames_of_runs(predicted, left_out))
    second = tuple(label for label, _ in frames_of_runs(truth, left_out))

    @functools.cache
    def distance(i, j):
        if i == 0 or j == 0:
            return i + j
        replaced = distance(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(replaced, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return 1 - distance(len(first), len(second)) / max(len(first), len(second), 1)


def random_labels(rng, num_classes, length):
    """Runs of random lengths, as int [length]."""
    labels = np.repeat(rng.integers(0, num_classes, length), rng.integers(1, 7, length))
    return labels[:length]


def disturbed(rng, labels, num_classes):
    """The same with moved borders and some other labels, so that some segments are right."""
    shifted = np.roll(labels, rng.integers(-2, 3))
    wrong = rng.random(len(labels)) < 0.1
    return np.where(wrong, rng.integers(0, num_classes, len(labels)), shifted)


@pytest.fixture(scope="module")
def clips():
    """(predicted, truth), 30 clips of 4 classes, of which some frames are ignored."""
    rng = np.random.default_rng(0)
    predicted, truth = [], []
    for length in rng.integers(1, 60, 30):
        labels = random_labels(rng, 4, length)
        predicted.append(disturbed(rng, labels, 4))
        truth.append(labels)
    return predicted, truth


@pytest.mark.parametrize("left_out", [(), (0,), (1, 3)])
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_f1_equals_the_definition(clips, overlap, left_out):
    value = segments.f1(*clips, overlap=overlap, ignored=left_out)
    assert value == pytest.approx(reference_f1(*clips, overlap, left_out), abs=1e-12)
    assert 0.05 < value < 0.99  # else the clips would prove nothing


@pytest.mark.parametrize("left_out", [(), (0,), (1, 3)])
def test_edit_score_equals_the_definition(clips, left_out):
    values = [segments.edit_score(*pair, left_out) for pair in zip(*clips, strict=True)]
    expected = [reference_edit(*pair, left_out) for pair in zip(*clips, strict=True)]
    np.testing.assert_allclose(values, expected, atol=1e-12)
    assert len(set(values)) > 5


def test_a_segment_of_the_background_parts_two_and_counts_for_nothing():
    truth = np.array([1, 1, 0, 0, 1, 1])
    assert segments.runs(truth, (0,)) == [(0, 2, 1), (4, 6, 1)]
    over_all = np.array([1, 1, 1, 1, 1, 1])  # one segment over both, of IoU 1/3
    assert segments.f1([over_all], [truth], overlap=0.25, ignored=(0,)) == 2 / 3
    assert segments.f1([over_all], [truth], overlap=0.5, ignored=(0,)) == 0
    assert segments.edit_score(over_all, truth, (0,)) == 0.5
    # Without a background its segment is missed as well.
    assert segments.f1([over_all], [truth], overlap=0.25) == 0.5


def test_an_overlap_of_just_the_threshold_is_right():
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    predicted = np.array([0, 0, 1, 1, 1, 1, 1, 1])  # IoU 2/4 and 4/6
    assert segments.f1([predicted], [truth], overlap=0.5) == 1
    assert segments.f1([predicted], [truth], overlap=0.51) == 0.5


def test_of_two_segments_upon_a_true_one_the_second_is_wrong():
    truth = np.array([1] * 9)
    predicted = np.array([1, 1, 1, 1, 2, 1, 1, 1, 1])
    runs = segments.runs(predicted), segments.runs(truth)
    assert segments.match(*runs, overlap=0.25) == (1, 2, 0)


def test_empty_answers_and_clips_without_segments():
    silence, word = np.zeros(5, int), np.array([0, 1, 1, 0, 0])
    assert segments.f1([silence], [word], overlap=0.1, ignored=(0,)) == 0
    assert segments.edit_score(silence, word, (0,)) == 0
    assert segments.edit_score(silence, silence, (0,)) == 1
    assert np.isnan(segments.f1([silence], [silence], overlap=0.1, ignored=(0,)))
    assert np.isnan(segments.f1([], [], overlap=0.1))
    nothing = np.zeros(0, int)
    assert segments.runs(nothing) == [] and segments.edit_score(nothing, nothing) == 1


@pytest.mark.parametrize("answer", [0, 1, 2])
def test_whatever_is_said_of_ignored_frames_changes_nothing(answer):
    truth = np.array([0, 0, -1, -1, 1, 1, 1, -1])
    predicted = np.array([0, 0, answer, answer, 1, 1, 2, answer])
    assert segments.f1([predicted], [truth], overlap=0.5) == pytest.approx(4 / 5)
    assert segments.edit_score(predicted, truth) == pytest.approx(2 / 3)


def test_the_nearest_sample_by_hand():
    nearest = segments.nearest_samples(np.array([1, 4, 8]), 10)
    assert nearest.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    # A clip that is too short repeats its frames: the first of the same is taken.
    assert segments.nearest_samples(np.array([0, 0, 1, 1]), 2).tolist() == [0, 2]
