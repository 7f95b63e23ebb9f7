"""What becomes of a clip: the settings, and the frames and the crop that they and a draw choose."""

from dataclasses import dataclass

import numpy as np

from vidjax.core.errors import DataError
from vidjax.core.names import did_you_mean
from vidjax.data import sampling
from vidjax.data.sources import Record

CHOICES = {
    "sampling": ("segments", "window"),
    "short": ("clamp", "repeat"),
    "crop": ("random_resized", "multi_scale", "centre"),
}


@dataclass(frozen=True)
class ClipSpec:
    """What becomes of a clip: which frames, which crop, which size. Evaluation ignores jitter and crops centrally."""

    num_frames: int = 16
    sampling: str = (
        "window"  # "window": num_frames at a stride; "segments": one from each of num_frames parts
    )
    stride: int = 2  # of the window
    stride_jitter: int = 0  # training: any of stride - jitter .. stride + jitter
    short: str = "clamp"  # clips with too few frames: "clamp" holds the last, "repeat" starts again
    size: int = 96  # side of the output in pixels
    resize: int = 100  # evaluation: the short side becomes this before the centre crop of `size`
    crop: str = "random_resized"  # in training: "random_resized", "multi_scale" or "centre" (as in evaluation)
    crop_area: tuple[float, float] = (0.5, 1.0)  # random_resized: share of the frame's area
    crop_ratio: tuple[float, float] = (0.75, 4 / 3)  # random_resized: width to height
    crop_scales: tuple[float, ...] = (
        1.0,
        0.875,
        0.75,
        0.66,
    )  # multi_scale: sides, as shares of the short side
    decode_threads: int = 0  # 0: one per core

    def __post_init__(self):
        for field, allowed in CHOICES.items():
            value = getattr(self, field)
            if value not in allowed:
                raise DataError(
                    f"data.{field} is {value!r}.{did_you_mean(str(value), allowed)} It is {' or '.join(allowed)}."
                )
        for field in ("num_frames", "stride", "size", "resize"):
            if getattr(self, field) < 1:
                raise DataError(f"data.{field} is {getattr(self, field)}; it is at least 1.")
        if self.resize < self.size:
            raise DataError(
                f"data.resize is {self.resize}, smaller than the crop of data.size = {self.size} from it."
            )
        for field, top in (("crop_area", 1.0), ("crop_ratio", float("inf"))):
            low, high = getattr(self, field)
            if not 0 < low <= high <= top:
                raise DataError(
                    f"data.{field} is ({low}, {high}); it is (low, high) with 0 < low <= high <= {top}."
                )
        if not self.crop_scales or not all(0 < scale <= 1 for scale in self.crop_scales):
            raise DataError(
                f"data.crop_scales is {tuple(self.crop_scales)}; each scale is above 0 and at most 1."
            )


def frames_of(spec: ClipSpec, num_frames: int, draw: int | None) -> np.ndarray:
    """The frames to read, int32 [T] in [0, num_frames); without a draw, those of evaluation."""
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


def box_of(spec: ClipSpec, height: int, width: int, draw: int | None) -> sampling.Box:
    """The crop of a frame of this size, in its pixels; without a draw, that of evaluation."""
    if draw is None or spec.crop == "centre":
        return sampling.centre_crop(height, width, resize=spec.resize, size=spec.size)
    if spec.crop == "multi_scale":
        return sampling.multi_scale_crop(height, width, scales=spec.crop_scales, draw=draw)
    return sampling.random_resized_crop(
        height, width, area=spec.crop_area, ratio=spec.crop_ratio, draw=draw
    )


def frame_paths(record: Record, spec: ClipSpec, draw: int | None) -> list[str]:
    """The files of the frames to read, T of them."""
    chosen = (record.frames[i] for i in frames_of(spec, record.num_frames, draw).tolist())
    return [f"{record.path}/{number:0{record.digits}d}{record.suffix}" for number in chosen]
