"""Which clips a step takes, which frames of a clip, and which crop of a frame: pure index maths, in NumPy alone.

Every random number is a hash of (draw, stream, counter) with the finaliser of splitmix64 (Steele, Lea, Flood, Fast
Splittable Pseudorandom Number Generators, OOPSLA 2014), and a draw is a hash of (seed, epoch, clip). So a clip gets the
same frames and the same crop on any number of hosts, in any order, and after a resume.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

# one stream a choice, so that no two choices share their numbers; learn/ uses its own generator
FRAMES, STRIDE, CROP = 0, 1, 2

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MASK = (1 << 64) - 1


def _mix(x: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser, a bijection of uint64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hash(*parts: int | np.ndarray) -> np.ndarray:
    """uint64 hash of integers, the last one may be an array: its shape."""
    state = np.zeros(1, np.uint64)
    for part in parts:
        part = (
            np.array([part & MASK], np.uint64) if isinstance(part, int) else part.astype(np.uint64)
        )
        state = _mix((state + GOLDEN) ^ _mix(part + GOLDEN))
    return state


def uniform(draw: int, stream: int, n: int) -> np.ndarray:
    """float64 [n] in [0, 1), a function of (draw, stream); the first k of n are the same for any n."""
    return (_hash(int(draw), int(stream), np.arange(n)) >> np.uint64(11)) * 2.0**-53


def draws(seed: int, epoch: int, clips: np.ndarray) -> np.ndarray:
    """The seed of every random choice for these clips in this epoch: uint32, the shape of `clips`."""
    return (_hash(int(seed), int(epoch), np.asarray(clips)) >> np.uint64(32)).astype(np.uint32)


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of n clips in an epoch: int64 [n]. NumPy has frozen RandomState's streams: the same in any version."""
    state = int(_hash(int(seed), int(epoch))[0])
    return np.random.RandomState([state >> 32, state & 0xFFFFFFFF]).permutation(n)


def log_hash(ids: np.ndarray) -> str:
    """Eight hex digits of the clip ids of a step, in order: what clips.log keeps of it."""
    return hashlib.sha1(np.asarray(ids).astype("<i4").tobytes()).hexdigest()[:8]


def segments(
    num_frames: int, count: int, *, draw: int | None = None, short: str = "clamp"
) -> np.ndarray:
    """One frame from each of `count` equal segments: int32 [count], never decreasing, in [0, num_frames).

    At random within the segment with a draw, its centre without. A clip of fewer frames than `count` gives all of
    them in order, and then holds the last ("clamp") or starts again ("repeat").
    Wang et al., Temporal Segment Networks, ECCV 2016.
    """
    if num_frames < count:
        return _shorten(np.arange(count), num_frames, short)
    u = 0.5 if draw is None else uniform(draw, FRAMES, count)
    chosen = np.floor((np.arange(count) + u) * (num_frames / count))
    return np.minimum(chosen, num_frames - 1).astype(np.int32)


def window(
    num_frames: int,
    count: int,
    stride: int,
    *,
    jitter: int = 0,
    draw: int | None = None,
    short: str = "clamp",
) -> np.ndarray:
    """`count` frames at a stride: int32 [count] in [0, num_frames).

    With a draw, the stride is any of stride - jitter .. stride + jitter that is at least 1 and the start is any that
    fits; without, the stride is as given and the window in the middle. The jitter never takes a stride that runs off
    the end of a clip long enough for the given one; a clip shorter than that starts at its first frame, and then holds
    the last ("clamp") or starts again ("repeat").
    """
    if draw is not None and jitter:
        fits = (num_frames - 1) // max(count - 1, 1)
        low, high = max(1, stride - jitter), min(stride + jitter, max(stride, fits))
        stride = low + int(uniform(draw, STRIDE, 1)[0] * (high - low + 1))
    room = num_frames - ((count - 1) * stride + 1)
    if room < 0:
        return _shorten(np.arange(count) * stride, num_frames, short)
    start = room // 2 if draw is None else int(uniform(draw, FRAMES, 1)[0] * (room + 1))
    return (start + np.arange(count) * stride).astype(np.int32)


def _shorten(chosen: np.ndarray, num_frames: int, short: str) -> np.ndarray:
    if short not in ("clamp", "repeat"):
        raise ValueError(f"short is 'clamp' or 'repeat', not {short!r}")
    chosen = chosen % num_frames if short == "repeat" else np.minimum(chosen, num_frames - 1)
    return chosen.astype(np.int32)


Box = tuple[int, int, int, int]  # top, left, height, width in source pixels


def random_resized_crop(
    height: int, width: int, *, area: tuple[float, float], ratio: tuple[float, float], draw: int
) -> Box:
    """A box of a random share of the frame's area and a random ratio of width to height (log-uniform), anywhere in it.

    After ten boxes that do not fit: the largest centred one whose ratio is within the range.
    Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6.
    """
    u = uniform(draw, CROP, 40).reshape(10, 4)
    target = height * width * (area[0] + u[:, 0] * (area[1] - area[0]))
    aspect = np.exp(math.log(ratio[0]) + u[:, 1] * math.log(ratio[1] / ratio[0]))
    widths, heights = np.rint(np.sqrt(target * aspect)), np.rint(np.sqrt(target / aspect))
    fits = np.flatnonzero((widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height))
    if fits.size:
        i = fits[0]
        h, w = int(heights[i]), int(widths[i])
        return int(u[i, 2] * (height - h + 1)), int(u[i, 3] * (width - w + 1)), h, w
    wanted = min(max(width / height, ratio[0]), ratio[1])
    h = max(1, min(height, round(width / wanted)))
    w = max(1, min(width, round(height * wanted)))
    return (height - h) // 2, (width - w) // 2, h, w


def multi_scale_crop(height: int, width: int, *, scales: Sequence[float], draw: int) -> Box:
    """A box whose sides are scales of the short side, at most one step of `scales` apart, at one of 13 positions.

    The positions are those of a 5 x 5 grid, a quarter of the room apart, whose coordinates are both even or both odd:
    corners, centre, middles of the sides, and centres of the quarters.
    Wang et al., Towards Good Practices for Very Deep Two-Stream ConvNets, 2015, and TSN.
    """
    sides = [max(1, int(min(height, width) * scale)) for scale in scales]
    pairs = [(h, w) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= 1]
    places = [(i, j) for i in range(5) for j in range(5) if i % 2 == j % 2]
    u = uniform(draw, CROP, 2)
    h, w = pairs[int(u[0] * len(pairs))]
    i, j = places[int(u[1] * len(places))]
    return (height - h) * i // 4, (width - w) * j // 4, h, w


def centre_crop(height: int, width: int, *, resize: int, size: int) -> Box:
    """The box that, resized to `size`, is the frame with its short side resized to `resize`, then cropped centrally."""
    side = max(1, round(min(height, width) * min(1.0, size / resize)))
    return (height - side) // 2, (width - side) // 2, side, side
