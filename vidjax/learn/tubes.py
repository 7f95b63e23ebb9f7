"""Boxes over time: tubes out of a map of classes, and how well they fit. NumPy, on the host.

A tube is a box in each of some consecutive frames, with a class and a score. Two tubes overlap by
the mean, over all frames that either of them has, of the intersection over union of their boxes (0
where one of them has no box): the measure of Gkioxari and Malik, Finding Action Tubes, CVPR 2015.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from vidjax.learn.metrics import average_precision

MIN_PIXELS = 9  # a region, or a true box, with fewer pixels in a frame has no box there


class Tube(NamedTuple):
    """A box through time.

    Args:
        label: the class.
        score: how sure the network is, 0..1; 1 for the truth.
        boxes: float32 [T, 4], top, left, bottom, right in pixels; NaN in frames without a box.
    """

    label: int
    score: float
    boxes: np.ndarray


def from_map(scores: np.ndarray) -> list[Tube]:
    """The tubes of one clip: probabilities [T, H, W, 1 + K], background first -> tubes.

    Each region of a class that is connected in space and time is a tube. Its score is the mean
    probability of its class.
    """
    answer = scores.argmax(-1)  # [T, H, W]
    tubes = []
    for index in range(1, scores.shape[-1]):
        # Regions touch along the sides of pixels and over time, not at corners.
        regions, count = ndimage.label(answer == index)
        num_voxels = np.bincount(regions.reshape(-1), minlength=count + 1)
        for number, place in enumerate(ndimage.find_objects(regions, count), start=1):
            # A network that has learned little answers thousands of specks.
            if num_voxels[number] < MIN_PIXELS:
                continue
            inside = regions[place] == number
            boxes = np.full((len(answer), 4), np.nan, np.float32)
            for t in range(inside.shape[0]):
                box = box_of_region(inside[t])
                if box is not None:
                    offset = (place[1].start, place[2].start) * 2
                    boxes[place[0].start + t] = np.add(box, offset)
            if np.isnan(boxes).all():
                continue
            score = float(scores[place][..., index][inside].mean())
            tubes.append(Tube(index - 1, score, boxes))
    return tubes


def best(tubes: Sequence[Tube], limit: int) -> list[Tube]:
    """The tubes with the highest scores, highest first: at most `limit` of them."""
    return sorted(tubes, key=lambda tube: -tube.score)[:limit]


def num_pixels(boxes: Any) -> Any:
    """How many pixels of a frame have their middle in each box [..., 4]: float [...].

    The boxes are an array of NumPy or of JAX, and so is the result.
    """
    # The first row i with i + 0.5 >= top is ceil(top - 0.5); `bottom` and columns are alike.
    first = -((0.5 - boxes) // 1)  # -floor(-x) is ceil(x), and both kinds of array have `//`
    return (first[..., 2] - first[..., 0]) * (first[..., 3] - first[..., 1])


def box_of_region(inside: np.ndarray) -> tuple[int, int, int, int] | None:
    """The box of a region bool [H, W]: rows and columns that hold half as much as the fullest.

    A map is ragged at its edges and rounded at its corners; the rule finds the sides of a box
    nevertheless. None for fewer than MIN_PIXELS.
    """
    if inside.sum() < MIN_PIXELS:
        return None
    box = []
    for axis in (1, 0):  # rows, then columns
        profile = inside.sum(axis)
        full = np.flatnonzero(2 * profile >= profile.max())
        box.append((int(full[0]), int(full[-1]) + 1))
    (top, bottom), (left, right) = box
    return top, left, bottom, right


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [..., 4]; 0 where either has NaN: float64 [...]."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    top_left = np.maximum(a[..., :2], b[..., :2])
    bottom_right = np.minimum(a[..., 2:], b[..., 2:])
    intersection = np.clip(bottom_right - top_left, 0, None).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(intersection / (areas - intersection))


def tube_iou(a: np.ndarray, b: np.ndarray) -> float:
    """The overlap of two tubes, boxes [T, 4] each with NaN in frames without one."""
    either = ~(np.isnan(a).any(-1) & np.isnan(b).any(-1))
    if not either.any():
        return 0.0
    return float(box_iou(a, b)[either].mean())


def video_average_precision(
    found: Sequence[Sequence[Tube]],
    truth: Sequence[Sequence[Tube]],
    *,
    num_classes: int,
    overlap: float,
) -> np.ndarray:
    """The average precision of tubes of each class over clips, float64 [K].

    As everywhere here it is without interpolation (`metrics.average_precision`), which gives a
    little less than tools in the manner of PASCAL VOC. NaN for a class without a true tube, whose
    wrong answers count for nothing.

    Args:
        found: the tubes of each clip that a network answered.
        truth: those that are there.
        num_classes: K.
        overlap: the least `tube_iou` of a right tube with a true one.
    """
    return _average_precisions(found, truth, num_classes=num_classes, overlap=overlap)


def frame_average_precision(
    found: Sequence[Sequence[Tube]],
    truth: Sequence[Sequence[Tube]],
    *,
    num_classes: int,
    overlap: float,
) -> np.ndarray:
    """The same of boxes, each sampled frame by itself: a box has the score of its tube.

    Arguments and result are those of `video_average_precision`; `overlap` is of two boxes.
    """
    found_frames, true_frames = [], []
    for tubes, true_tubes in zip(found, truth, strict=True):
        num_frames = max((len(tube.boxes) for tube in [*tubes, *true_tubes]), default=0)
        for t in range(num_frames):
            found_frames.append(_in_frame(tubes, t))
            true_frames.append(_in_frame(true_tubes, t))
    return _average_precisions(found_frames, true_frames, num_classes=num_classes, overlap=overlap)


def _in_frame(tubes: Sequence[Tube], t: int) -> list[Tube]:
    """The tubes that have a box in frame t, cut down to that frame."""
    cut = []
    for tube in tubes:
        if not np.isnan(tube.boxes[t]).any():
            cut.append(tube._replace(boxes=tube.boxes[t : t + 1]))
    return cut


def _average_precisions(found, truth, *, num_classes, overlap):
    """The average precision of each class that has a true tube, float64 [K]; else NaN."""
    result = np.full(num_classes, np.nan)
    for label in range(num_classes):
        found_of_class = [_of_class(tubes, label) for tubes in found]
        true_of_class = [_of_class(tubes, label) for tubes in truth]
        true_count = sum(len(tubes) for tubes in true_of_class)
        if true_count > 0:
            scores, right = _match(found_of_class, true_of_class, overlap)
            result[label] = _with_missed(scores, right, true_count)
    return result


def _of_class(tubes: Sequence[Tube], label: int) -> list[Tube]:
    return [tube for tube in tubes if tube.label == label]


def _match(
    found: Sequence[Sequence[Tube]], truth: Sequence[Sequence[Tube]], overlap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which answers of one class are right: scores in falling order [n], and right bool [n].

    An answer is compared with the true tube of its clip that it overlaps most. It is right if they
    overlap enough, and if no answer with a higher score has found that tube before.
    """
    answers = []
    for clip, tubes in enumerate(found):
        answers += [(clip, tube) for tube in tubes]
    answers.sort(key=lambda answer: -answer[1].score)  # stable
    right = np.zeros(len(answers), bool)
    matched = set()  # (clip, number) of the true tubes that have been found
    for place, (clip, tube) in enumerate(answers):
        overlaps = [tube_iou(tube.boxes, other.boxes) for other in truth[clip]]
        if not overlaps:
            continue
        best = int(np.argmax(overlaps))
        if overlaps[best] >= overlap and (clip, best) not in matched:
            matched.add((clip, best))
            right[place] = True
    return np.array([tube.score for _, tube in answers]), right


def _with_missed(scores: np.ndarray, right: np.ndarray, true_count: int) -> float:
    """Average precision where some of the true things may not have been found at all."""
    num_found = int(right.sum())
    if num_found == 0:
        return 0.0
    # Recall is relative to what was found there; what was never found lowers it by this share.
    return average_precision(scores, right) * num_found / true_count
