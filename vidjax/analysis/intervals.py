"""The interval of the video that each position of an array depends on, along one axis.

The video is taken to be endless: an interval may begin before the clip or end behind it, and what
lies outside is padding. Araujo et al., Computing Receptive Fields of Convolutional Neural Networks,
Distill 2019, derive the arithmetic; here every position keeps its own interval, because pathways
that sample frames unevenly have no constant stride.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Intervals:
    """What the positions of an array depend on, along the time, height or width of the video.

    Args:
        axis: the axis of the array whose positions have different intervals, one each. None if all
            elements of the array depend on the same interval; then there is one.
        first: the first position of the video in each interval, float [positions]. It is negative
            in padding, and -inf for the whole video and for all that is before `last`.
        last: the last position of the video in each interval, float [positions].
        stride: how far the video moves from one interval to the next, on average; without meaning
            if `axis` is None.
    """

    axis: int | None
    first: np.ndarray
    last: np.ndarray
    stride: float = 1

    @property
    def extent(self) -> float:
        """The length of the longest interval, in positions of the video; inf for the whole."""
        return float((self.last - self.first + 1).max())

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(first, last) at integer positions of any shape.

        Positions outside the array are padding. Their intervals continue those at the edge by the
        stride.
        """
        inside = np.clip(positions, 0, len(self.first) - 1)
        beyond = (positions - inside) * self.stride
        return self.first[inside] + beyond, self.last[inside] + beyond

    def on_axis(self, axis: int) -> "Intervals":
        """The same intervals after the axis of the array has moved."""
        return replace(self, axis=axis)

    def mixed(self) -> "Intervals":
        """What a value depends on that was computed from all positions of the axis.

        Only a single position keeps its interval. Several make it the whole video, whose size the
        network does not know.
        """
        if len(self.first) > 1:
            return whole_video()
        return replace(self, axis=None)

    def under_window(
        self,
        num_outputs: int,
        *,
        window: int = 1,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        base_dilation: int = 1,
    ) -> "Intervals":
        """The intervals of `num_outputs` windows that slide along the axis.

        Args:
            num_outputs: windows, the positions of the result.
            window: values under one window.
            stride: how far the window moves.
            padding: positions added before the first one; negative where the first ones are cut.
            dilation: distance between the values under a window.
            base_dilation: distance to which the values are spread before; zeros lie between them.
        """
        starts = np.arange(num_outputs) * stride - padding
        taps = starts[:, None] + np.arange(window) * dilation  # [num_outputs, window]
        first, last = self.at(taps // base_dilation)
        # A tap between two spread values meets a zero, so it must not widen the interval.
        meets_value = taps % base_dilation == 0
        return replace(
            self,
            first=np.where(meets_value, first, math.inf).min(axis=1),
            last=np.where(meets_value, last, -math.inf).max(axis=1),
            stride=self.stride * stride / base_dilation,
        )


def whole_video() -> Intervals:
    """Of an array whose elements all depend on the whole video."""
    return Intervals(None, first=np.array([-math.inf]), last=np.array([math.inf]))


def union(parts: Iterable[Intervals | None]) -> Intervals | None:
    """The smallest intervals that hold those of several arrays of one shape.

    None stands for an array that does not depend on the video. Arrays that run along the video on
    different axes are taken to depend on all of it.
    """
    parts = [part for part in parts if part is not None]
    if not parts:
        return None
    axes = {part.axis for part in parts} - {None}
    if len(axes) > 1:
        return union_mixed(parts)
    first, last = parts[0].first, parts[0].last
    stride = 0.0
    for part in parts:
        # An interval that holds for all elements is broadcast against those of positions.
        first = np.minimum(first, part.first)
        last = np.maximum(last, part.last)
        if part.axis is not None:
            stride = max(stride, part.stride)
    if not axes:
        return Intervals(None, first, last)
    return Intervals(axes.pop(), first, last, stride)


def union_mixed(parts: Iterable[Intervals | None]) -> Intervals | None:
    """What a value depends on that was computed from all positions of several arrays."""
    return union(part.mixed() for part in parts if part is not None)
