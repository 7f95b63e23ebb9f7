"""Compares the labels of a row with the frames of its clip: times, boxes and masks.

Each function returns a part of a sentence for the quarantine, and "" where the labels fit. Of
masks and frames only the names and the header of the first file are read. A damaged mask is
reported when it is read.
"""

from vidjax.core.errors import DataError
from vidjax.data.media import Frames, MaskArray, MaskFrames
from vidjax.data.readers.frames import source_shape
from vidjax.data.readers.masks import masks_shape
from vidjax.data.records import Segment, Track


def segments_cause(segments: tuple[Segment, ...], frames: Frames, *, has_background: bool) -> str:
    """Why segments, sorted by start, do not fit: none is there, one ends late, or two overlap.

    Annotators round times: the last segment may be a frame longer than the clip, and segments may
    overlap by less than half a frame.
    """
    if not segments and not has_background:
        return (
            "no segment in its row, and --config.data.manifest.segment_background names no class "
            "for the rest"
        )
    one_frame = 1 / frames.frames_per_second
    end = frames.num_frames * one_frame
    before = None
    for segment in segments:
        span = f"its segment {segment.label!r} from {segment.start:g} to {segment.end:g} s"
        # A wrong frame rate shows here, and nowhere else.
        if segment.end > end + one_frame:
            return (
                f"{span} does not fit its {frames.num_frames} frames, which end at {end:g} s at "
                f"{frames.frames_per_second:g} frames a second "
                "(--config.data.manifest.frames_per_second)"
            )
        if before is not None and segment.start < before.end - one_frame / 2:
            return f"{span} overlaps {before.label!r}, which ends at {before.end:g} s"
        before = segment
    return ""


def boxes_cause(tracks: tuple[Track, ...], frames: Frames) -> str:
    """Boxes are in frames that the clip has, and touch the pixels of the frame."""
    if not tracks:
        return ""
    try:
        _, height, width = source_shape(frames)
    except OSError:
        return "the size of its first frame cannot be read"
    for track in tracks:
        for position, box in zip(track.frames.tolist(), track.boxes.tolist(), strict=True):
            if position >= frames.num_frames:
                return f"a box in frame {position}, but there are {frames.num_frames}"
            top, left, bottom, right = box
            if bottom <= 0 or right <= 0 or top >= height or left >= width:
                return (
                    f"its box of {track.label!r} in frame {position}, (top, left, bottom, right) = "
                    f"({top:g}, {left:g}, {bottom:g}, {right:g}), is outside of the frame, which "
                    f"is {width} x {height}"
                )
    return ""


def masks_cause(masks: MaskFrames | MaskArray | None, frames: Frames) -> str:
    """There is a mask for every frame, and the first one has the size of the first frame."""
    if masks is None:
        return ""
    try:
        num_masks, mask_height, mask_width = masks_shape(masks)
        num_frames, height, width = source_shape(frames)
    except DataError as error:
        return f"its masks cannot be used: {error}"
    except OSError:
        return "the size of its first frame cannot be read"
    if num_masks != num_frames:
        return f"it has {num_masks} masks, but {num_frames} frames"
    if (mask_height, mask_width) != (height, width):
        return (
            f"its first mask is {mask_width} x {mask_height}, but its first frame is "
            f"{width} x {height}"
        )
    return ""
