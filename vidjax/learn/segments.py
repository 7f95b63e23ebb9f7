"""Scores of labels over time: frames, segments and their order. NumPy, on the host.

Segmental F1 and the edit score are those of Lea et al., Temporal Convolutional Networks for Action
Segmentation and Detection, CVPR 2017, section 4. A segment is a run of equal labels. Ignored
frames (label -1) belong to no segment and count for nothing.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np


class Segment(NamedTuple):
    """A run of frames with one label."""

    start: int
    end: int  # exclusive
    label: int


class Counts(NamedTuple):
    """Segments that were found, found wrongly, and missed."""

    right: int
    wrong: int
    missed: int

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; NaN where there is no segment at all."""
        total = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / total if total else float("nan")


def runs(labels: np.ndarray, ignored: Collection[int] = ()) -> list[Segment]:
    """The segments of int [T], without those of -1 and of the ignored labels."""
    segments = []
    start = 0
    for t in range(1, len(labels) + 1):
        if t == len(labels) or labels[t] != labels[start]:
            label = int(labels[start])
            if label >= 0 and label not in ignored:
                segments.append(Segment(start, t, label))
            start = t
    return segments


def match(predicted: Sequence[Segment], truth: Sequence[Segment], *, overlap: float) -> Counts:
    """Counts of one clip: a segment is right if it overlaps enough with a true one of its label.

    The overlap is intersection over union. Each true segment can be found once; a second answer
    that overlaps it is wrong.
    """
    is_found = [False] * len(truth)
    right = 0
    for segment in predicted:
        overlaps = [_overlap(segment, other) for other in truth]
        if not overlaps:
            continue
        best = int(np.argmax(overlaps))
        if overlaps[best] >= overlap and not is_found[best]:
            is_found[best] = True
            right += 1
    return Counts(right, len(predicted) - right, len(truth) - right)


def _overlap(a: Segment, b: Segment) -> float:
    if a.label != b.label:
        return 0.0
    intersection = max(0, min(a.end, b.end) - max(a.start, b.start))
    return intersection / (max(a.end, b.end) - min(a.start, b.start))


def f1(
    predicted: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    *,
    overlap: float,
    ignored: Collection[int] = (),
) -> float:
    """Segmental F1 over clips, each int [T]: counts are added over all of them, as is usual.

    Frames that the truth ignores (-1) are taken out of the prediction as well.
    """
    total = Counts(0, 0, 0)
    for labels, true_labels in zip(predicted, truth, strict=True):
        labels = np.where(true_labels < 0, -1, labels)
        counts = match(runs(labels, ignored), runs(true_labels, ignored), overlap=overlap)
        total = Counts(*(a + b for a, b in zip(total, counts, strict=True)))
    return total.f1


def edit_score(predicted: np.ndarray, truth: np.ndarray, ignored: Collection[int] = ()) -> float:
    """1 - the edit distance of two sequences of segments over the longer one's length, in 0..1.

    How long segments are does not matter, only their order. 1 where neither has a segment.
    """
    first = [segment.label for segment in runs(np.where(truth < 0, -1, predicted), ignored)]
    second = [segment.label for segment in runs(truth, ignored)]
    longest = max(len(first), len(second))
    return 1 - edit_distance(first, second) / longest if longest else 1.0


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """The fewest insertions, deletions and replacements between two sequences (Levenshtein)."""
    row = list(range(len(second) + 1))  # distances of the empty sequence to each start of `second`
    for i, a in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            replaced = diagonal + (a != b)
            diagonal = row[j]
            row[j] = min(replaced, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def nearest_samples(positions: np.ndarray, num_frames: int) -> np.ndarray:
    """Which of the sampled frames is nearest to each frame of the source: int [num_frames].

    positions int [T] are the sampled ones. Of two equally near the first in the list is taken.
    """
    distance = np.abs(np.arange(num_frames)[:, None] - positions[None])  # [frames, T]
    return distance.argmin(axis=1)
