"""Which clips a step takes, which frames of a clip, and which crop of a frame.

Every random number is a hash of (draw, stream, counter) with the finaliser of splitmix64 (Steele,
Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014), and a draw is a hash of
(seed, epoch, clip). So a clip gets the same frames and the same crop on any number of hosts, in any
order, and after a resume. Everything here is index arithmetic in NumPy.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

# Each kind of choice has a stream, so that no two choices share their random numbers. The
# augmentation on the device has a generator of its own.
FRAMES, STRIDE, CROP = 0, 1, 2

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the increment of splitmix64, from the golden ratio
MASK = (1 << 64) - 1

Box = tuple[int, int, int, int]  # top, left, height, width in pixels of the frame


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64, a bijection of uint64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hash(*parts: int | np.ndarray) -> np.ndarray:
    """A uint64 hash of integers. The last may be an array: one hash for each entry, [...]."""
    state = np.zeros(1, np.uint64)
    for part in parts:
        if isinstance(part, int):
            # The mask takes negative integers to uint64, too.
            words = np.array([part & MASK], np.uint64)
        else:
            words = part.astype(np.uint64)
        state = _mix((state + GOLDEN) ^ _mix(words + GOLDEN))
    return state


def uniform(draw: int, stream: int, n: int) -> np.ndarray:
    """n numbers in [0, 1), float64 [n]; the first k of them are the same for any n."""
    return (_hash(int(draw), int(stream), np.arange(n)) >> np.uint64(11)) * 2.0**-53


def draws(seed: int, epoch: int, clips: np.ndarray) -> np.ndarray:
    """The seed of every random choice for each clip in an epoch, uint32 in the shape of `clips`."""
    return (_hash(int(seed), int(epoch), np.asarray(clips)) >> np.uint64(32)).astype(np.uint32)


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of n clips in an epoch, int64 [n]."""
    state = int(_hash(int(seed), int(epoch))[0])
    # NumPy has frozen the streams of RandomState: they are the same in every version.
    return np.random.RandomState([state >> 32, state & 0xFFFFFFFF]).permutation(n)


def log_hash(ids: np.ndarray) -> str:
    """Eight hex digits that stand for the clips of a step in their order; clips.log keeps them."""
    return hashlib.sha1(np.asarray(ids).astype("<i4").tobytes()).hexdigest()[:8]


def segments(
    num_frames: int, count: int, *, draw: int | None = None, short: str = "clamp"
) -> np.ndarray:
    """One frame from each of `count` equal segments: int32 [count] in [0, num_frames), sorted.

    With a draw, it is any frame of the segment, without one its centre. A clip of fewer than
    `count` frames gives all of them in order, and then holds the last ("clamp") or starts again
    ("repeat"). Wang et al., Temporal Segment Networks, ECCV 2016.
    """
    if num_frames < count:
        return _extend(np.arange(count), num_frames, short)
    offsets = 0.5
    if draw is not None:
        offsets = uniform(draw, FRAMES, count)
    chosen = np.floor((np.arange(count) + offsets) * (num_frames / count))
    # An offset near 1 may round up to the frame behind the last.
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
    """`count` frames at equal distances: int32 [count] in [0, num_frames).

    Args:
        num_frames: how many the clip has.
        count: how many are chosen.
        stride: their distance.
        jitter: with a draw, the stride is any of stride - jitter .. stride + jitter from 1 on. A
            clip that is long enough for `stride` never gets a stride that leads past its end.
        draw: with one, the window is anywhere in the clip; without, in the middle.
        short: what a clip that is too short for the window does behind its last frame: it holds it
            ("clamp") or starts again ("repeat"). Its window begins at the first frame.
    """
    if draw is not None and jitter:
        # the largest stride that fits into the clip
        longest = (num_frames - 1) // max(count - 1, 1)
        low = max(1, stride - jitter)
        high = min(stride + jitter, max(stride, longest))
        stride = low + int(uniform(draw, STRIDE, 1)[0] * (high - low + 1))
    room = num_frames - ((count - 1) * stride + 1)
    if room < 0:
        return _extend(np.arange(count) * stride, num_frames, short)
    start = room // 2
    if draw is not None:
        start = int(uniform(draw, FRAMES, 1)[0] * (room + 1))
    return (start + np.arange(count) * stride).astype(np.int32)


def _extend(chosen: np.ndarray, num_frames: int, short: str) -> np.ndarray:
    """Brings positions that lead past the end of a clip back into it, int32."""
    if short == "clamp":
        return np.minimum(chosen, num_frames - 1).astype(np.int32)
    if short == "repeat":
        return (chosen % num_frames).astype(np.int32)
    raise ValueError(f"short is 'clamp' or 'repeat', not {short!r}")


def random_resized_crop(
    height: int, width: int, *, area: tuple[float, float], ratio: tuple[float, float], draw: int
) -> Box:
    """A box anywhere in the frame, of a random area and a random shape.

    If ten boxes do not fit into the frame, it is the largest centred one of an allowed ratio.
    Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6.

    Args:
        height: of the frame in pixels.
        width: of the frame in pixels.
        area: the least and the largest share of the frame's area, drawn uniformly.
        ratio: the least and the largest ratio of width to height, drawn uniformly in its logarithm.
        draw: the seed.
    """
    u = uniform(draw, CROP, 40).reshape(10, 4)  # ten boxes: area, ratio, top, left
    target = height * width * (area[0] + u[:, 0] * (area[1] - area[0]))
    aspect = np.exp(math.log(ratio[0]) + u[:, 1] * math.log(ratio[1] / ratio[0]))
    widths = np.rint(np.sqrt(target * aspect))
    heights = np.rint(np.sqrt(target / aspect))
    fits = np.flatnonzero((widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height))
    if fits.size:
        i = fits[0]
        h, w = int(heights[i]), int(widths[i])
        return int(u[i, 2] * (height - h + 1)), int(u[i, 3] * (width - w + 1)), h, w
    nearest_ratio = min(max(width / height, ratio[0]), ratio[1])
    h = max(1, min(height, round(width / nearest_ratio)))
    w = max(1, min(width, round(height * nearest_ratio)))
    return (height - h) // 2, (width - w) // 2, h, w


def multi_scale_crop(height: int, width: int, *, scales: Sequence[float], draw: int) -> Box:
    """A box whose sides are scales of the frame's short side, at one of 13 places.

    The two sides are at most one step of `scales` apart. The places are those of a 5 x 5 grid whose
    coordinates are both even or both odd: corners, centre, middles of the sides, and centres of the
    quarters. Wang et al., Towards Good Practices for Very Deep Two-Stream ConvNets, 2015, and TSN.
    """
    sides = [max(1, int(min(height, width) * scale)) for scale in scales]
    shapes = []
    for i, side in enumerate(sides):
        # A draw means a place in this list, so its order must stay: neighbours by their index.
        for neighbour in sides[max(0, i - 1) : i + 2]:
            shapes.append((side, neighbour))
    places = [(i, j) for i in range(5) for j in range(5) if i % 2 == j % 2]
    u = uniform(draw, CROP, 2)
    h, w = shapes[int(u[0] * len(shapes))]
    i, j = places[int(u[1] * len(places))]
    return (height - h) * i // 4, (width - w) * j // 4, h, w


def centre_crop(height: int, width: int, *, resize: int, size: int) -> Box:
    """The central square that covers what `size` pixels cover once the short side is `resize` long.

    Cutting it out and resizing it to `size` is one resize less than resizing the frame first.
    """
    side = max(1, round(min(height, width) * min(1.0, size / resize)))
    return (height - side) // 2, (width - side) // 2, side, side
