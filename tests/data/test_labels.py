"""The flip map against Jester's published one, and its refusals."""

import numpy as np
import pytest

from vidjax.core.errors import DataError
from vidjax.data.labels import flip_map
from vidjax.data.sources.jester import SWAPS

# 20BN-Jester in the order of its labels file, and the map of a horizontal flip over it
JESTER = [
    "Swiping Left",
    "Swiping Right",
    "Swiping Down",
    "Swiping Up",
    "Pushing Hand Away",
    "Pulling Hand In",
    "Sliding Two Fingers Left",
    "Sliding Two Fingers Right",
    "Sliding Two Fingers Down",
    "Sliding Two Fingers Up",
    "Pushing Two Fingers Away",
    "Pulling Two Fingers In",
    "Rolling Hand Forward",
    "Rolling Hand Backward",
    "Turning Hand Clockwise",
    "Turning Hand Counterclockwise",
    "Zooming In With Full Hand",
    "Zooming Out With Full Hand",
    "Zooming In With Two Fingers",
    "Zooming Out With Two Fingers",
    "Thumb Up",
    "Thumb Down",
    "Shaking Hand",
    "Stop Sign",
    "Drumming Fingers",
    "No gesture",
    "Doing other things",
]
JESTER_FLIP = [1, 0, 2, 3, 4, 5, 7, 6, 8, 9, 10, 11, 12, 13, 15, 14, *range(16, 27)]


def test_jester():
    mapped = flip_map(JESTER, SWAPS)
    assert mapped.dtype == np.int32
    assert mapped.tolist() == JESTER_FLIP


def test_any_order_of_the_classes():
    classes = sorted(JESTER)
    names = [classes[i] for i in flip_map(classes, SWAPS)]
    assert names == [JESTER[JESTER_FLIP[JESTER.index(name)]] for name in classes]


def test_nothing_swaps():
    assert flip_map(["zero", "one", "copyright", "brightness", "cleft"]).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "name",
    [
        "Turn LEFT",
        "turning_right",
        "hand-leftwards",
        "Counter-clockwise",
        "Anticlockwise",
        "turnRight now",
    ],
)
def test_a_direction_without_a_pair_is_refused(name):
    with pytest.raises(DataError, match=r"augment\.flip") as caught:
        flip_map(["wave", name])
    assert repr(name) in str(caught.value)


def test_a_class_may_be_declared_its_own_mirror_image():
    assert flip_map(["Right now", "wave"], [("Right now", "Right now")]).tolist() == [0, 1]


def test_bad_tables_are_refused():
    with pytest.raises(DataError, match="no class 'c'"):
        flip_map(["a", "b"], [("a", "c")])
    with pytest.raises(DataError, match="both"):
        flip_map(["a", "b", "c"], [("a", "b"), ("a", "c")])
