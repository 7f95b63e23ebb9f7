"""The settings that say what becomes of a clip, and the frames and the crop that follow from them.

Every choice in training is made by a draw, a number of 32 bits; evaluation has no draw.
"""

from dataclasses import dataclass

import numpy as np

from vidjax.core.errors import DataError
from vidjax.core.names import did_you_mean
from vidjax.data import sampling

CHOICES = {
    "sampling": ("segments", "window"),
    "short": ("clamp", "repeat"),
    "crop": ("random_resized", "multi_scale", "centre"),
}


@dataclass(frozen=True)
class ClipSpec:
    """Which frames of a clip are read, how they are cropped, and how large they become.

    Evaluation does not jitter the stride and crops the centre.

    Args:
        num_frames: T, how many frames are read.
        sampling: "window" reads frames at a stride, "segments" one from each of T equal parts.
        stride: distance of the frames of a window.
        stride_jitter: in training the stride is any of stride - jitter .. stride + jitter.
        short: what a clip with too few frames does: "clamp" holds the last, "repeat" starts again.
        size: side of the video in pixels.
        resize: in evaluation, the short side becomes this long before the centre crop of `size`.
        crop: in training, "random_resized", "multi_scale", or "centre" as in evaluation.
        crop_area: for random_resized, the least and the largest share of the frame's area.
        crop_ratio: for random_resized, the least and the largest ratio of width to height.
        crop_scales: for multi_scale, the sides of the crop as shares of the frame's short side.
        decode_threads: threads that read and decode; 0 for one per core.
    """

    num_frames: int
    sampling: str
    stride: int
    stride_jitter: int
    short: str
    size: int
    resize: int
    crop: str
    crop_area: tuple[float, float]
    crop_ratio: tuple[float, float]
    crop_scales: tuple[float, ...]
    decode_threads: int

    def __post_init__(self):
        for field, allowed in CHOICES.items():
            value = getattr(self, field)
            if value not in allowed:
                raise DataError(
                    f"data.{field} is {value!r}.{did_you_mean(str(value), allowed)} "
                    f"It is {' or '.join(allowed)}."
                )
        for field in ("num_frames", "stride", "size", "resize"):
            value = getattr(self, field)
            if value < 1:
                raise DataError(f"data.{field} is {value}; it is at least 1.")
        if self.resize < self.size:
            raise DataError(
                f"data.resize is {self.resize}, smaller than the crop of data.size = {self.size} "
                "from it."
            )
        for field, limit in (("crop_area", 1.0), ("crop_ratio", float("inf"))):
            low, high = getattr(self, field)
            if not 0 < low <= high <= limit:
                raise DataError(
                    f"data.{field} is ({low}, {high}); "
                    f"it is (low, high) with 0 < low <= high <= {limit}."
                )
        if not self.crop_scales or min(self.crop_scales) <= 0 or max(self.crop_scales) > 1:
            raise DataError(
                f"data.crop_scales is {tuple(self.crop_scales)}; "
                "each scale is above 0 and at most 1."
            )


def choose_positions(spec: ClipSpec, num_frames: int, *, draw: int | None) -> np.ndarray:
    """The positions of the frames to read, int32 [T] in [0, num_frames).

    `num_frames` is how many the clip has. Without a draw, the positions are those of evaluation.
    """
    if spec.sampling == "segments":
        return sampling.segments(num_frames, spec.num_frames, draw=draw, short=spec.short)
    return sampling.window(
        num_frames,
        spec.num_frames,
        spec.stride,
        jitter=spec.stride_jitter,
        draw=draw,
        short=spec.short,
    )


def choose_box(spec: ClipSpec, height: int, width: int, *, draw: int | None) -> sampling.Box:
    """The crop of a frame of height x width pixels; without a draw, that of evaluation."""
    if draw is None or spec.crop == "centre":
        return sampling.centre_crop(height, width, resize=spec.resize, size=spec.size)
    if spec.crop == "multi_scale":
        return sampling.multi_scale_crop(height, width, scales=spec.crop_scales, draw=draw)
    return sampling.random_resized_crop(
        height, width, area=spec.crop_area, ratio=spec.crop_ratio, draw=draw
    )
