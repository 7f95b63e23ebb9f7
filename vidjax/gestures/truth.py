"""What is known of each clip because it was drawn: its phases, and where its hands are.

The phases follow from the poses, and cost no drawing. Masks and boxes are drawn with the polygons
of the frames, in the same order, so what something else covers is no hand. They are written once,
into a folder beside the set.
"""

import functools
import json
import os
from collections.abc import Sequence as Items
from dataclasses import fields, replace

import numpy as np
from PIL import Image, ImageDraw

from vidjax.core import files
from vidjax.data.records import Segment, Track
from vidjax.data.sources.jester import FRAMES_PER_SECOND
from vidjax.gestures import workers
from vidjax.gestures.hand import Polygon, Pose
from vidjax.gestures.motions import MOTIONS
from vidjax.gestures.scene import HEIGHT, ZOOM
from vidjax.gestures.take import draw_take
from vidjax.gestures.write import Sequence, draw_size, draw_stage, generators, plan

VERSION = 1  # part of the cache's name: raise it whenever a mask or a box changes
IDLE, STROKE, RETURN = PHASES = ("idle", "stroke", "return")
PIXELS = ("background", "hand")  # the classes of the values in a mask
HAND = PIXELS[1]
MIN_PIXELS = 12  # of a hand in a frame, to have a box there
STILL = 1e-6  # pixels, degrees and lengths that differ by less are the same
BOXES_FILE = "boxes.jsonl"


def phases(sequence: Sequence, *, backward: bool = False) -> tuple[Segment, ...]:
    """When the gesture has not begun, when the hand moves, and when it is over; without gaps.

    A hand is never quite still: its unsteadiness is left out here. The rule is then:

    - idle: the frames at the start that have the pose of the first frame;
    - return: the frames at the end that have the pose of the last frame;
    - stroke: all between.

    Frame k lasts from k to k + 1 twelfths of a second. Where no pose ever differs, the whole clip
    is idle. In the clip that shows the sequence backwards, idle and return change places, so that
    idle is before the stroke.
    """
    _, num_frames = draw_size(sequence.seed, sequence.split, sequence.number)
    num_idle, num_return = _still_frames(_steady_poses(sequence, num_frames), num_frames)
    if num_idle == num_frames:
        return (Segment(0.0, num_frames / FRAMES_PER_SECOND, IDLE),)
    if backward:
        num_idle, num_return = num_return, num_idle
    edges = [0, num_idle, num_frames - num_return, num_frames]
    segments = []
    for start, end, label in zip(edges[:-1], edges[1:], PHASES, strict=True):
        segments.append(Segment(start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND, label))
    return tuple(segments)


def _steady_poses(sequence: Sequence, num_frames: int) -> list[Pose]:
    """The poses of a sequence without the unsteadiness of the hand."""
    _, take_rng, motion_rng = generators(sequence)
    take = draw_take(take_rng, num_frames)
    _, _, motion = MOTIONS[sequence.motion]
    return motion(replace(take, wobble=np.zeros_like(take.wobble)), motion_rng)


def _still_frames(poses: list[Pose], num_frames: int) -> tuple[int, int]:
    """How many frames at the start have the pose of the first, and at the end that of the last."""
    values = [np.zeros((num_frames, 1))]
    for pose in poses:
        for field in fields(pose):
            value = getattr(pose, field.name)
            if isinstance(value, np.ndarray):
                values.append(value.reshape(num_frames, -1))
    states = np.concatenate(values, 1)  # [T, S]
    as_first = np.abs(states - states[0]).max(1) < STILL
    as_last = np.abs(states - states[-1]).max(1) < STILL
    return _leading(as_first), _leading(as_last[::-1])


def _leading(flags: np.ndarray) -> int:
    """How many of the first entries of a bool array [T] are true."""
    return int(np.cumprod(flags).sum())


def draw_hands(sequence: Sequence) -> np.ndarray:
    """Where the hands are in each frame, uint8 [T, HEIGHT, width]: 0, or the number of the hand.

    A pixel is of a hand where at least half of it is.
    """
    stage = draw_stage(sequence)
    frames = []
    for polygons in stage.polygons(silhouette=True):
        frames.append(_draw_frame(polygons, stage.scene.width, num_hands=len(stage.poses)))
    return np.stack(frames)


def _draw_frame(polygons: list[Polygon], width: int, *, num_hands: int) -> np.ndarray:
    """One frame of draw_hands, uint8 [HEIGHT, width]."""
    drawing = Image.new("L", (ZOOM * width, ZOOM * HEIGHT))
    pen = ImageDraw.Draw(drawing)
    for points, ink in polygons:
        pen.polygon(points, fill=ink)
    drawn = np.asarray(drawing)
    covered = np.zeros((1 + num_hands, HEIGHT, width), np.uint8)  # nothing is of the hand 0
    for hand in range(1, 1 + num_hands):
        covered[hand] = _count(drawn == hand)
    is_hand = 2 * covered.sum(0) >= ZOOM * ZOOM
    return np.where(is_hand, covered.argmax(0), 0).astype(np.uint8)


def _count(flags: np.ndarray) -> np.ndarray:
    """How many of the pixels of the drawing that make up a pixel are true, uint8 [HEIGHT, width].

    Slices are several times faster than a sum over the axes of squares.
    """
    drawn = flags.view(np.uint8)  # [ZOOM * HEIGHT, ZOOM * width]
    rows = sum(drawn[k::ZOOM] for k in range(ZOOM))
    return sum(rows[:, k::ZOOM] for k in range(ZOOM))


def tracks(hands: np.ndarray) -> tuple[Track, ...]:
    """The boxes of each hand, from what draw_hands returns, uint8 [T, H, W].

    A box is tight around the pixels of the hand. There is none in a frame with fewer than
    MIN_PIXELS of them, and no track for a hand that is in no frame.
    """
    found = []
    for hand in range(1, int(hands.max()) + 1):
        is_hand = hands == hand
        frames = np.flatnonzero(is_hand.sum((1, 2)) >= MIN_PIXELS)
        if not frames.size:
            continue
        top, bottom = _extents(is_hand[frames].any(2))
        left, right = _extents(is_hand[frames].any(1))
        boxes = np.stack([top, left, bottom, right], 1).astype(np.float32)  # [n, 4]
        found.append(Track(HAND, frames.astype(np.int32), boxes))
    return tuple(found)


def _extents(flags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first true entry of each row of a bool array [n, L], and the one behind the last: [n]."""
    return flags.argmax(1), flags.shape[1] - flags[:, ::-1].argmax(1)


def mask_path(root: str, clip: int | str) -> str:
    """The file with the masks of a clip, for data.media.MaskArray."""
    return os.path.join(root, "masks", f"{clip}.npz")


def write(root: str, *, seed: int, counts: tuple[int, int], num_workers: int = 0) -> None:
    """Writes masks and boxes of a whole set into the empty folder root; arguments as write.write.

    Masks are files of data.media.MaskArray. All boxes are in one file, which read_boxes reads.
    """
    os.makedirs(os.path.join(root, "masks"))
    sequences = plan(seed, counts)
    work = functools.partial(_write_sequence, root)
    rows = workers.run(work, sequences, num_workers=num_workers, what="sequences of masks")
    lines = [json.dumps(row) + "\n" for rows_of_sequence in rows for row in rows_of_sequence]
    files.write_text(os.path.join(root, BOXES_FILE), "".join(lines))


def _write_sequence(root: str, sequence: Sequence) -> list[dict]:
    """Writes the masks of the one or two clips of a sequence; returns a row of boxes for each."""
    hands = draw_hands(sequence)
    rows = [_write_clip(root, sequence.forward, hands)]
    if sequence.backward is not None:
        rows.append(_write_clip(root, sequence.backward, hands[::-1]))
    return rows


def _write_clip(root: str, clip: int, hands: np.ndarray) -> dict:
    np.savez_compressed(mask_path(root, clip), mask=(hands > 0).view(np.uint8))
    boxes = []
    for track in tracks(hands):
        boxes.append({"frames": track.frames.tolist(), "boxes": track.boxes.tolist()})
    return {"id": str(clip), "tracks": boxes}


def read_boxes(root: str) -> dict[str, tuple[Track, ...]]:
    """The tracks of each clip of a set, by its id, from the folder that `write` filled."""
    tracks_by_clip = {}
    with open(os.path.join(root, BOXES_FILE), encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            tracks_by_clip[row["id"]] = tuple(_track(entry) for entry in row["tracks"])
    return tracks_by_clip


def _track(entry: dict[str, Items]) -> Track:
    return Track(HAND, np.array(entry["frames"], np.int32), np.array(entry["boxes"], np.float32))
