"""The table of attributes against the poses that the motions draw."""

from dataclasses import fields, replace

import numpy as np
import pytest

from vidjax.data.labels import flip_map
from vidjax.data.sources import jester
from vidjax.gestures import attributes, motions, write
from vidjax.gestures.take import draw_take

NUM_FRAMES = 32
SEEDS = range(20)
STRAIGHT = 0.7  # a finger that never bends less than this is shut


def drawn(gesture, seed):
    """The poses of one clip of a gesture, forwards or backwards in time."""
    for forward, backward, motion in motions.MOTIONS:
        if gesture in (forward, backward):
            rng = np.random.default_rng(seed)
            poses = motion(draw_take(rng, NUM_FRAMES), rng)
            if gesture == backward:
                poses = [reversed_in_time(pose) for pose in poses]
            return poses
    raise AssertionError(f"no motion draws {gesture}")


def reversed_in_time(pose):
    moving = [f.name for f in fields(pose) if isinstance(getattr(pose, f.name), np.ndarray)]
    return replace(pose, **{name: getattr(pose, name)[::-1] for name in moving})


def change(values):
    """From the first frames of a clip to its last, without most of the hand's unsteadiness."""
    return values[-3:].mean(0) - values[:3].mean(0)


def goes_straight(pose, axis, sign):
    """Whether the hand moves along an axis (0 is x, 1 is y) in the direction of `sign`."""
    moved = change(pose.centre)
    return sign * moved[axis] > 6 and abs(moved[axis]) > 3 * abs(moved[1 - axis])


def check_left(pose):
    assert goes_straight(pose, 0, -1)


def check_right(pose):
    assert goes_straight(pose, 0, 1)


def check_up(pose):
    assert goes_straight(pose, 1, -1)


def check_down(pose):
    assert change(pose.centre)[1] > 6
    # A thumb that points down comes in from either side, and sinks once it has arrived.
    assert change(pose.centre[NUM_FRAMES // 2 :])[1] > 2


def check_nearer(pose):
    assert change(np.log(pose.scale)) > 0.4


def check_farther(pose):
    assert change(np.log(pose.scale)) < -0.4


def check_clockwise(pose):
    assert change(pose.lean + pose.roll) > 60


def check_counterclockwise(pose):
    assert change(pose.lean + pose.roll) < -60


def rolling(pose):
    """Whether the hand goes down where it is near: forward is positive."""
    down = np.gradient(pose.centre[:, 1])
    near = pose.scale - pose.scale.mean()
    return np.corrcoef(down, near)[0, 1]


def check_rolling_forward(pose):
    assert rolling(pose) > 0.6


def check_rolling_backward(pose):
    assert rolling(pose) < -0.6


def check_opening(pose):
    assert change(pose.curl[:, 0]) < -0.4 and change(pose.spread) > 0.4


def check_closing(pose):
    assert change(pose.curl[:, 0]) > 0.4 and change(pose.spread) < -0.4


def check_to_and_fro(pose):
    speed = np.gradient(pose.centre[:, 0])
    speed = speed[np.abs(speed) > 1]
    assert (np.diff(np.sign(speed)) != 0).sum() >= 3


def check_none(pose):
    assert np.ptp(pose.centre, axis=0).max() < 12


CHECKS = {
    attributes.LEFT: check_left,
    attributes.RIGHT: check_right,
    attributes.UP: check_up,
    attributes.DOWN: check_down,
    attributes.NEARER: check_nearer,
    attributes.FARTHER: check_farther,
    attributes.CLOCKWISE: check_clockwise,
    attributes.COUNTERCLOCKWISE: check_counterclockwise,
    attributes.ROLLING_FORWARD: check_rolling_forward,
    attributes.ROLLING_BACKWARD: check_rolling_backward,
    attributes.OPENING: check_opening,
    attributes.CLOSING: check_closing,
    attributes.TO_AND_FRO: check_to_and_fro,
    attributes.NO_DIRECTION: check_none,
}

# shape: (which of index, middle, ring and little finger are used, whether the thumb is)
USED = {
    attributes.WHOLE_HAND: ([True, True, True, True], True),
    attributes.TWO_FINGERS: ([True, True, False, False], False),
    attributes.THUMB_AND_INDEX: ([True, False, False, False], True),
    attributes.THUMB: ([False, False, False, False], True),
}


@pytest.mark.parametrize("gesture", write.CLASSES)
def test_the_direction_is_that_of_the_motion(gesture):
    _, direction = attributes.ATTRIBUTES[gesture]
    if direction == attributes.OTHER_DIRECTION:
        moved = [change(pose.centre) for seed in SEEDS for pose in drawn(gesture, seed)]
        assert np.ptp(moved, axis=0).min() > 6
        return
    for seed in SEEDS:
        for pose in drawn(gesture, seed):
            CHECKS[direction](pose)


@pytest.mark.parametrize("gesture", write.CLASSES)
def test_the_shape_is_that_of_the_fingers(gesture):
    shape, _ = attributes.ATTRIBUTES[gesture]
    patterns = set()
    for seed in SEEDS:
        poses = drawn(gesture, seed)
        if not poses:
            assert shape == attributes.NO_SHAPE
            patterns.add("nobody's hand")
        for pose in poses:
            fingers = (pose.curl.min(0) < STRAIGHT).tolist()
            patterns.add((*fingers, pose.cup))
            if shape in USED:
                assert fingers == USED[shape][0]
                assert (pose.fold.min() < 0.5) == USED[shape][1]
    assert len(patterns) == 1 or shape in (attributes.NO_SHAPE, attributes.OTHER_SHAPE)
    assert len(patterns) > 1 or shape in USED


@pytest.mark.parametrize("gesture", ["Thumb Up", "Thumb Down"])
def test_the_thumb_points_where_the_direction_says(gesture):
    """The thumb is on the side of the hand that is up or down when the arm lies across."""
    for seed in SEEDS:
        (pose,) = drawn(gesture, seed)
        # The hand's x axis points to the thumb; rotate it into the picture, y down.
        angle = np.radians(pose.lean[-1] + pose.roll[-1])
        thumb_y = pose.side * np.sin(angle) * np.cos(np.radians(pose.yaw[-1]))
        assert (thumb_y < 0) == (gesture == "Thumb Up")


def test_every_gesture_has_attributes():
    assert tuple(attributes.ATTRIBUTES) == write.CLASSES
    every = attributes.names(write.CLASSES)
    shapes = [name for name in every if name.startswith("shape: ")]
    directions = [name for name in every if name.startswith("direction: ")]
    assert every == (*shapes, *directions) and len(set(every)) == len(every)
    for shape, direction in attributes.ATTRIBUTES.values():
        assert shape in shapes and direction in directions


def test_opposite_gestures_differ_in_direction_alone():
    for forward, backward, _ in motions.MOTIONS:
        if backward:
            assert attributes.ATTRIBUTES[forward][0] == attributes.ATTRIBUTES[backward][0]
            assert attributes.ATTRIBUTES[forward][1] != attributes.ATTRIBUTES[backward][1]


def test_a_flip_swaps_the_attributes_of_the_gestures_that_it_swaps():
    """What a mirror makes of a gesture has the attributes that a mirror makes of its attributes."""
    classes = write.CLASSES
    every = attributes.names(classes)
    flipped = flip_map(every, attributes.SWAPS)
    for gesture, mirrored in enumerate(flip_map(classes, jester.SWAPS)):
        wanted = attributes.ATTRIBUTES[classes[mirrored]]
        mirrored_attributes = tuple(
            every[flipped[every.index(name)]] for name in attributes.ATTRIBUTES[classes[gesture]]
        )
        assert mirrored_attributes == wanted
