"""Tubes out of maps made by hand, and average precision against counted pixels and thresholds."""

import itertools

import jax
import numpy as np
import pytest

from vidjax.learn import tubes
from vidjax.learn.tubes import Tube

NUM_FRAMES, SIDE = 5, 16


def made_map(*boxes, num_classes=2, sure=0.8, shape=(NUM_FRAMES, 12, 14)):
    """Probabilities [T, H, W, 1 + K] with boxes (class, frames, top, left, bottom, right)."""
    scores = np.zeros((*shape, 1 + num_classes), np.float32)
    scores[..., 0] = 1
    for label, frames, top, left, bottom, right in boxes:
        place = (list(frames), slice(top, bottom), slice(left, right))
        scores[place] = (1 - sure) / num_classes
        scores[(*place, 1 + label)] = sure
    return scores


def boxes_of(tube):
    """{frame: box} of a tube."""
    return {t: box.tolist() for t, box in enumerate(tube.boxes) if not np.isnan(box).any()}


def test_two_regions_of_a_class_are_two_tubes():
    found = tubes.from_map(made_map((0, range(5), 1, 1, 5, 5), (0, range(2, 5), 6, 8, 10, 13)))
    assert [tube.label for tube in found] == [0, 0]
    assert boxes_of(found[0]) == {t: [1, 1, 5, 5] for t in range(5)}
    assert boxes_of(found[1]) == {t: [6, 8, 10, 13] for t in range(2, 5)}
    assert found[0].score == pytest.approx(0.8)


def test_a_moving_region_is_one_tube_and_classes_are_apart():
    moving = [(1, [t], 2, 2 + 2 * t, 6, 6 + 2 * t) for t in range(5)]
    found = tubes.from_map(made_map(*moving, (0, range(5), 7, 0, 11, 4)))
    assert [tube.label for tube in found] == [0, 1]
    assert boxes_of(found[1]) == {t: [2, 2 + 2 * t, 6, 6 + 2 * t] for t in range(5)}


def test_a_gap_of_a_frame_ends_a_tube():
    found = tubes.from_map(made_map((0, [0, 1, 3, 4], 1, 1, 5, 5)))
    assert [sorted(boxes_of(tube)) for tube in found] == [[0, 1], [3, 4]]


def test_regions_that_touch_at_a_corner_are_two():
    found = tubes.from_map(made_map((0, range(5), 1, 1, 5, 5), (0, range(5), 5, 5, 9, 9)))
    assert len(found) == 2


def test_an_empty_map_and_specks_give_no_tube():
    assert tubes.from_map(made_map()) == []
    assert tubes.from_map(made_map((0, range(5), 1, 1, 3, 5))) == []  # 8 pixels a frame
    (tube,) = tubes.from_map(made_map((0, [0, 1], 1, 1, 4, 4), (0, [2], 1, 1, 3, 3)))
    assert sorted(boxes_of(tube)) == [0, 1]  # the region of frame 2 is too small for a box


def test_the_best_tubes_come_first():
    boxes = np.zeros((1, 4))
    some = [Tube(0, 0.2, boxes), Tube(1, 0.9, boxes), Tube(2, 0.2, boxes), Tube(3, 0.5, boxes)]
    assert [tube.label for tube in tubes.best(some, 3)] == [1, 3, 0]
    assert [tube.label for tube in tubes.best(some, 9)] == [1, 3, 0, 2]


def test_pixels_of_a_box_are_those_whose_middle_is_inside():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 40, (200, 2)) / 4  # with many on a middle or an edge
    boxes = np.concatenate([corners, corners + rng.integers(0, 20, (200, 2)) / 4], 1)
    middles = np.arange(16) + 0.5
    expected = []
    for top, left, bottom, right in boxes:
        rows = (middles >= top) & (middles < bottom)
        columns = (middles >= left) & (middles < right)
        expected.append(np.outer(rows, columns).sum())
    assert min(expected) == 0 and max(expected) > 15
    np.testing.assert_array_equal(tubes.num_pixels(boxes), expected)
    np.testing.assert_array_equal(jax.jit(tubes.num_pixels)(boxes), expected)


def test_the_score_is_the_mean_probability_of_the_region():
    scores = made_map((0, [0], 0, 0, 4, 4), (0, [1], 0, 0, 4, 4))
    scores[1, :4, :4, 1], scores[1, :4, :4, 0] = 0.6, 0.3
    (tube,) = tubes.from_map(scores)
    assert tube.score == pytest.approx(0.7)


def test_a_ragged_edge_does_not_move_the_box():
    inside = np.zeros((12, 12), bool)
    inside[3:9, 2:10] = True
    inside[2, 5:8] = inside[6, 10] = True  # a bump of three pixels, and one of a single one
    inside[3, 2] = inside[8, 9] = False  # rounded corners
    assert tubes.box_of_region(inside) == (3, 2, 9, 10)
    assert tubes.box_of_region(np.zeros((4, 4), bool)) is None


def pixels(box):
    """The pixels of a box with whole numbers, as a set; none of a box that is not there."""
    if np.isnan(box).any():
        return set()
    top, left, bottom, right = box.astype(int)
    return set(itertools.product(range(top, bottom), range(left, right)))


def counted_iou(a, b):
    """The mean IoU over the frames that either tube has, by counting pixels."""
    ious = []
    for first, second in zip(map(pixels, a), map(pixels, b), strict=True):
        if first or second:
            ious.append(len(first & second) / len(first | second))
    return np.mean(ious) if ious else 0.0


def reference_precision(found, truth, label, overlap):
    """AP: the rise of recall from threshold to threshold, times the precision there."""
    num_true = sum(tube.label == label for clip in truth for tube in clip)
    if num_true == 0:
        return np.nan
    answers = []
    for clip, answered in enumerate(found):
        answers += [(tube.score, clip, tube.boxes) for tube in answered if tube.label == label]
    total, recall_before = 0.0, 0.0
    for threshold in sorted({score for score, _, _ in answers}, reverse=True):
        taken, right = set(), 0
        kept = sorted((a for a in answers if a[0] >= threshold), key=lambda a: -a[0])
        for _, clip, boxes in kept:
            ious = {}
            for number, tube in enumerate(truth[clip]):
                if tube.label == label:
                    ious[number] = counted_iou(boxes, tube.boxes)
            best = max(ious, key=ious.get, default=None)
            if best is not None and ious[best] >= overlap and (clip, best) not in taken:
                taken.add((clip, best))
                right += 1
        total += (right / num_true - recall_before) * right / len(kept)
        recall_before = right / num_true
    return total


def frame_by_frame(clips):
    """Each frame as a clip of one, with the boxes that it has."""
    frames = []
    for clip in clips:
        for t in range(NUM_FRAMES):
            here = [tube for tube in clip if not np.isnan(tube.boxes[t]).any()]
            frames.append([tube._replace(boxes=tube.boxes[t : t + 1]) for tube in here])
    return frames


def random_tube(rng):
    """A tube of whole numbers over some consecutive frames."""
    boxes = np.full((NUM_FRAMES, 4), np.nan, np.float32)
    first, last = np.sort(rng.integers(0, NUM_FRAMES, 2))
    top, left = rng.integers(0, 9, 2)
    height, width = rng.integers(3, 8, 2)
    boxes[first : last + 1] = (top, left, top + height, left + width)
    return Tube(int(rng.integers(0, 3)), 1.0, boxes)


@pytest.fixture(scope="module")
def answered():
    """(found, truth) of 25 clips: some found well, some badly, some twice, some not at all."""
    rng = np.random.default_rng(0)
    found, truth = [], []
    for _ in range(25):
        true_tubes = [random_tube(rng) for _ in range(rng.integers(0, 4))]
        answers = [random_tube(rng)._replace(score=float(rng.random()))]
        for tube in true_tubes:
            for _ in range(rng.integers(0, 3)):
                boxes = tube.boxes + rng.integers(-1, 2, 4) * [1, 1, 0, 0]
                score = round(float(rng.random()), 1)  # with ties
                answers.append(Tube(tube.label, score, boxes.astype(np.float32)))
        found.append(answers)
        truth.append(true_tubes)
    return found, truth


@pytest.mark.parametrize("overlap", [0.3, 0.5])
def test_average_precision_equals_brute_force(answered, overlap):
    found, truth = answered
    values = tubes.video_average_precision(found, truth, num_classes=4, overlap=overlap)
    expected = [reference_precision(found, truth, label, overlap) for label in range(4)]
    np.testing.assert_allclose(values, expected, atol=1e-12)
    assert np.isnan(values[3]) and (values[:3] > 0.2).all() and (values[:3] < 0.99).all()
    frames = frame_by_frame(found), frame_by_frame(truth)
    values = tubes.frame_average_precision(found, truth, num_classes=4, overlap=overlap)
    expected = [reference_precision(*frames, label, overlap) for label in range(4)]
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_nothing_found_and_nothing_there():
    settings = {"num_classes": 1, "overlap": 0.5}
    tube = random_tube(np.random.default_rng(1))._replace(label=0)
    for measure in (tubes.video_average_precision, tubes.frame_average_precision):
        assert measure([[]], [[tube]], **settings).tolist() == [0]
        assert measure([[tube]], [[tube]], **settings).tolist() == [1]
        assert np.isnan(measure([[tube]], [[]], **settings)).all()
        assert np.isnan(measure([], [], **settings)).all()


def test_a_tube_that_is_found_too_early_and_too_late_is_wrong():
    """The frames of both count: two of four in common are a half."""
    boxes = np.full((NUM_FRAMES, 4), np.nan, np.float32)
    early, late = boxes.copy(), boxes.copy()
    early[:3], late[1:4] = (2, 2, 8, 8), (2, 2, 8, 8)
    assert tubes.tube_iou(early, late) == pytest.approx(2 / 4)
    late[1] = np.nan
    late[4] = (2, 2, 8, 8)
    assert tubes.tube_iou(early, late) == pytest.approx(1 / 5)
    assert tubes.tube_iou(boxes, boxes) == 0
