"""What varies between clips of any gesture, and poses with this variation added.

Nothing here knows the gesture. The distribution of takes is symmetric in left and right, and in
time, so that no take tells a direction.
"""

from dataclasses import dataclass

import numpy as np

from vidjax.gestures.hand import Pose

OPEN = (0.04, 0.03, 0.05, 0.08)  # curl of index, middle, ring and little finger, all out


@dataclass(frozen=True)
class Take:
    """What is drawn without knowledge of the gesture: person, hand, tempo and unsteadiness.

    Args:
        num_frames: T.
        size: pixels from the wrist to the tip of the middle finger.
        place: [2], where the hand acts, in pixels from the middle of the frame.
        tilt: degrees that are added to the forearm's angle.
        turn: degrees about the axis of the hand.
        side: 1 or -1, a left or a right hand.
        phase: [T], the progress of the motion from 0 to 1, with a pause before and after.
        pace: [T], the same at an even speed, for what goes round or to and fro.
        wobble: [T, 4], slow and small changes of x, y, angle and curl.
        stance: [4], a constant added to the curl of each finger.
    """

    num_frames: int
    size: float
    place: np.ndarray
    tilt: float
    turn: float
    side: int
    phase: np.ndarray
    pace: np.ndarray
    wobble: np.ndarray
    stance: np.ndarray


def smooth_noise(
    rng: np.random.Generator, num_frames: int, num_channels: int, *, knots: int = 6
) -> np.ndarray:
    """A slow random curve for each channel, of about unit deviation: [num_frames, num_channels]."""
    values = rng.normal(size=(knots + 2, num_channels))
    at = np.linspace(0, knots, num_frames)
    low = at.astype(int)
    # A raised cosine goes from one knot to the next without a kink.
    share = (1 - np.cos(np.pi * (at - low)))[:, None] / 2  # [T, 1]
    return values[low] * (1 - share) + values[low + 1] * share


def draw_take(rng: np.random.Generator, num_frames: int) -> Take:
    """Draws a take of a clip of T frames."""
    begin, end = rng.uniform(0.02, 0.16, size=2)
    linear = np.clip((np.linspace(0, 1, num_frames) - begin) / (1 - begin - end), 0, 1)
    ease = rng.uniform(0.0, 1.0)
    phase = (1 - ease) * linear + ease * linear**2 * (3 - 2 * linear)
    return Take(
        num_frames=num_frames,
        size=rng.uniform(52, 68),
        place=np.array([rng.uniform(-12, 12), rng.uniform(-5, 7)]),
        tilt=rng.uniform(-14, 14),
        turn=rng.uniform(-28, 28),
        side=int(rng.choice([-1, 1])),
        phase=phase,
        pace=linear,
        wobble=smooth_noise(rng, num_frames, 4)
        * np.array([0.7, 0.7, 1.8, 0.02])
        * rng.uniform(0.3, 1.3),
        stance=rng.uniform(-0.03, 0.08, size=4),
    )


def make_pose(
    take: Take,
    *,
    x=0.0,
    y=0.0,
    scale=1.0,
    lean=0.0,
    roll=0.0,
    pitch=0.0,
    yaw=0.0,
    curl=OPEN,
    spread=0.35,
    fold=0.1,
    abduct=0.0,
    side: int | None = None,
    cup: bool = False,
) -> Pose:
    """A pose from numbers or [T] arrays, with the take's unsteadiness added.

    x and y are pixels from the place of the take, `curl` is [4] or [T, 4], and a `side` of None is
    that of the take. All other arguments are fields of Pose.
    """

    def per_frame(value, *shape):
        return np.broadcast_to(np.asarray(value, float), (take.num_frames, *shape))

    wobble_xy = take.wobble[:, :2]
    wobble_angle = take.wobble[:, 2]
    wobble_curl = take.wobble[:, 3]
    if side is None:
        side = take.side
    return Pose(
        # The palm's middle is above the wrist: 8 pixels lower, the hand is in the frame's middle.
        centre=np.stack([per_frame(x), per_frame(y) + 8], -1) + take.place + wobble_xy,
        scale=take.size * per_frame(scale),
        lean=per_frame(lean) + take.tilt + wobble_angle,
        roll=per_frame(roll),
        pitch=per_frame(pitch) + wobble_angle,
        yaw=per_frame(yaw) + take.turn,
        curl=np.clip(per_frame(curl, 4) + take.stance + wobble_curl[:, None], 0, 1.02),
        spread=per_frame(spread) + wobble_curl * 2,
        fold=np.clip(per_frame(fold), 0, 1),
        abduct=per_frame(abduct) + wobble_angle,
        side=side,
        cup=cup,
    )
