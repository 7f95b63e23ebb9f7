"""The 27 gestures as poses of a hand over time.

Ten motions are gestures in both directions of time: played backwards, they are the opposite
gesture. Directions are those that the viewer of the picture sees. Whether the hand is a left or a
right one is drawn at random.

A motion is a function of a take and a random generator. The order in which it draws random numbers
is part of the set: another order makes other pictures under the same seed.
"""

from collections.abc import Callable

import numpy as np

from vidjax.gestures.hand import Pose
from vidjax.gestures.take import Take, make_pose

# Curl of index, middle, ring and little finger: 0 is straight, 1 a fist.
TWO = (0.02, 0.02, 0.98, 1.0)
POINT = (0.02, 0.95, 1.0, 1.0)
FIST = (0.97, 1.0, 1.0, 0.98)


def _two(rng):
    """Index and middle finger out, the thumb over the others, sometimes seen from the back."""
    return {
        "curl": TWO,
        "spread": rng.uniform(0.0, 0.5),
        "fold": 1.0,
        "yaw": rng.choice([0.0, 180.0], p=[0.7, 0.3]),
    }


def _open(rng):
    """All fingers out and apart, sometimes seen from the back."""
    return {
        "spread": rng.uniform(0.6, 1.1),
        "fold": rng.uniform(0, 0.15),
        "yaw": rng.choice([0.0, 180.0], p=[0.7, 0.3]),
    }


def _left(take, rng, *, distance, hand):
    """From right to left: `distance` is the range of half the way, in pixels."""
    x = rng.uniform(*distance) * (1 - 2 * take.phase)
    swing = rng.uniform(0.3, 0.9)
    lift = -rng.uniform(0, 6) * np.sin(np.pi * take.phase)
    return [make_pose(take, x=x, y=lift, lean=x * swing, **hand)]


def _down(take, rng, *, distance, hand):
    """From the top to the bottom, as _left; the arm comes from below or from a side."""
    y = rng.uniform(*distance) * (2 * take.phase - 1)
    lean = rng.choice([0.0, -1.0, 1.0]) * rng.uniform(25, 60)
    return [make_pose(take, y=y, lean=lean, pitch=rng.uniform(-25, 25), **hand)]


def _away(take, rng, *, hand):
    """Away from the person and towards the viewer: the hand grows."""
    low, high = rng.uniform(0.52, 0.64), rng.uniform(1.15, 1.3)
    scale = low * (high / low) ** take.phase
    return [make_pose(take, scale=scale, y=4 * (scale - 1), lean=rng.uniform(-15, 15), **hand)]


def swipe_left(take, rng):
    """An open hand goes to the left."""
    return _left(take, rng, hand=_open(rng), distance=(32, 40))


def swipe_down(take, rng):
    """An open hand goes down."""
    return _down(take, rng, hand=_open(rng), distance=(28, 35))


def push(take, rng):
    """An open palm goes towards the viewer."""
    return _away(take, rng, hand=_open(rng) | {"yaw": 0.0})


def slide_left(take, rng):
    """Two fingers go to the left."""
    return _left(take, rng, hand=_two(rng), distance=(27, 35))


def slide_down(take, rng):
    """Two fingers go down."""
    return _down(take, rng, hand=_two(rng), distance=(24, 31))


def push_two(take, rng):
    """Two fingers go towards the viewer."""
    return _away(take, rng, hand=_two(rng))


def roll_forward(take, rng):
    """Round a horizontal axis, with one hand or both.

    A hand goes over the top towards the viewer, down in front, and back below.
    """
    around = 2 * np.pi * (rng.uniform() + rng.uniform(1.0, 1.4) * take.pace)
    radius, depth, from_side = rng.uniform(15, 21), rng.uniform(0.30, 0.40), rng.choice([-1, 1])
    shift = rng.uniform(0, 8)
    bend = rng.uniform(0.25, 0.5)
    num_hands = 2 if rng.uniform() < 0.5 else 1
    poses = []
    for k in range(num_hands):
        # The second hand is half a turn behind, and its arm comes from the other side.
        angle = around + np.pi * k
        side = int(from_side * (1 - 2 * k))
        poses.append(
            make_pose(
                take,
                x=-side * shift,
                y=-8 - radius * np.cos(angle),
                scale=0.88 * (1 + depth * np.sin(angle)),
                lean=side * (78 + 8 * np.cos(angle)),
                yaw=180 + side * 75 * np.cos(angle),
                curl=(bend, bend, bend, bend),
                spread=0.1,
                fold=0.3,
                side=-side,
            )
        )
    return poses


def turn_clockwise(take, rng):
    """An open hand turns in the picture, most of the way about the wrist."""
    half = rng.uniform(62, 80)
    angle = half * (2 * take.phase - 1) + rng.uniform(-8, 8)
    hand = _open(rng)
    return [make_pose(take, lean=0.3 * angle, roll=0.7 * angle, **hand)]


def zoom_in_full(take, rng):
    """A half-closed hand opens."""
    shut = rng.uniform(0.62, 0.75)
    return [
        make_pose(
            take,
            curl=_all_fingers(shut * (1 - take.phase)),
            spread=1.25 * take.phase,
            fold=0.75 * (1 - take.phase),
            abduct=22 * take.phase,
            lean=rng.uniform(-20, 20),
            pitch=rng.uniform(-5, 15),
        )
    ]


def zoom_in_two(take, rng):
    """Index finger and thumb part, the other fingers stay shut."""
    u = take.phase
    bend = 0.56 * (1 - u)
    curl = np.stack([bend, np.full_like(u, 0.97), np.ones_like(u), np.ones_like(u)], -1)  # [T, 4]
    return [
        make_pose(
            take,
            curl=curl,
            spread=0.8 * u,
            fold=0.45 * (1 - u),
            abduct=-8 + 52 * u,
            scale=1.1,
            lean=rng.uniform(-25, 25),
        )
    ]


def _all_fingers(bend):
    """The same curl for four fingers: [T] -> [T, 4]."""
    return np.repeat(bend[:, None], 4, axis=1)


def _arrive(take, share):
    """From 0 to 1 within the first `share` of the motion, then 1: [T]."""
    u = np.clip(take.phase / share, 0, 1)
    return u * u * (3 - 2 * u)


def thumb_up(take, rng):
    """A fist rises from below and shows its thumb."""
    here = _arrive(take, rng.uniform(0.25, 0.45))
    slope = rng.uniform(10, 35)
    x = take.side * 4
    y = -6 + 55 * (1 - here)
    return [_thumb(take, rng, x=x, y=y, here=here, slope=slope, side=take.side)]


def thumb_down(take, rng):
    """A fist comes in from a side, shows its thumb, and sinks a little."""
    here = _arrive(take, rng.uniform(0.25, 0.45))
    slope = -rng.uniform(10, 35)
    x = take.side * (4 + 80 * (1 - here))
    y = -10 + 12 * (take.phase - 0.6)
    return [_thumb(take, rng, x=x, y=y, here=here, slope=slope, side=-take.side)]


def _thumb(take, rng, *, x, y, here, slope, side):
    """A fist whose thumb comes out as `here` goes from 0 to 1.

    The forearm comes from the side of the take, `slope` degrees off the horizontal. The thumb is on
    the upper side of the hand or, with the other `side`, on the lower. The fingers close towards
    the viewer.
    """
    return make_pose(
        take,
        x=x,
        y=y,
        scale=1.1,
        lean=-take.side * (90 - slope),
        roll=-take.side * slope * rng.uniform(0.6, 1.0),
        curl=FIST,
        fold=0.8 * (1 - here),
        abduct=44 * here,
        spread=0.0,
        side=side,
    )


def shake(take, rng):
    """An open hand goes to and fro."""
    swing = np.sin(2 * np.pi * (rng.uniform(2.2, 3.6) * take.pace + rng.uniform()))
    hand = _open(rng)
    return [
        make_pose(
            take,
            x=rng.uniform(12, 18) * swing,
            lean=rng.uniform(12, 20) * swing,
            roll=rng.uniform(8, 18) * swing,
            **hand,
        )
    ]


def stop(take, rng):
    """The hand rises from below, opens and stays."""
    here = _arrive(take, rng.uniform(0.25, 0.45))
    return [
        make_pose(
            take,
            y=(1 - here) * 65 - 2,
            curl=_all_fingers(0.9 * (1 - here)),
            spread=rng.uniform(0.0, 0.35),
            fold=1 - here,
            scale=0.85 + 0.2 * here,
        )
    ]


def drum(take, rng):
    """Fingers beat one after the other; the arm lies across the picture, as on a table."""
    beat = rng.uniform(2.2, 3.6) * take.pace + rng.uniform()
    order = np.arange(4) * rng.choice([-1, 1]) / 4
    curl = 0.06 + 0.66 * np.clip(np.sin(2 * np.pi * (beat[:, None] + order)), 0, 1)  # [T, 4]
    lean = rng.choice([-1, 1]) * rng.uniform(55, 95)
    pitch = rng.uniform(-10, 20)
    return [make_pose(take, curl=curl, spread=0.8, fold=0.25, yaw=180.0, pitch=pitch, lean=lean)]


def rest(take, rng):
    """Nobody's hand, or one that lies low and does nothing."""
    if rng.uniform() < 0.5:
        return []
    bend = rng.uniform(0.2, 1.0)
    return [
        make_pose(
            take,
            y=rng.uniform(38, 50),
            lean=rng.uniform(-40, 40),
            curl=(bend, bend, bend, bend),
            fold=bend,
            yaw=rng.choice([0.0, 180.0]),
            scale=0.85,
        )
    ]


def _draw_circle(take, rng):
    """Draws a circle in the air with a pointing finger."""
    angle = 2 * np.pi * (rng.uniform() + rng.choice([-1, 1]) * rng.uniform(1.0, 1.6) * take.pace)
    x, y = 20 * np.cos(angle), 6 + 16 * np.sin(angle)
    return [make_pose(take, x=x, y=y, curl=POINT, fold=0.9, scale=0.9)]


def _pick_up(take, rng):
    """Goes down with an open hand, shuts it and goes up again; the fingers point down."""
    shut = np.clip((take.phase - 0.35) / 0.3, 0, 1)
    lean = rng.choice([-1, 1]) * rng.uniform(120, 150)
    return [
        make_pose(
            take,
            y=-30 + 42 * np.sin(np.pi * take.phase),
            lean=lean,
            curl=_all_fingers(0.15 + 0.6 * shut),
            fold=0.2 + 0.5 * shut,
        )
    ]


def _scratch(take, rng):
    """Bent fingers work close to the head, from the side."""
    beat = np.sin(2 * np.pi * 4 * take.pace)
    side = rng.choice([-1, 1])
    return [
        make_pose(
            take,
            x=side * 10,
            y=-28 + 4 * beat,
            lean=-side * rng.uniform(35, 60),
            roll=-side * 25,
            curl=_all_fingers(0.42 + 0.16 * beat),
            fold=0.3,
            yaw=180.0,
            scale=0.8,
        )
    ]


def _drink(take, rng):
    """Lifts a cup, tips it, and puts it down."""
    lift = np.sin(np.pi * take.phase) ** 0.7
    return [
        make_pose(
            take,
            y=34 - 44 * lift,
            lean=-take.side * 78,
            roll=take.side * 38 * lift**3,
            curl=(0.62, 0.64, 0.66, 0.68),
            fold=0.35,
            abduct=20,
            spread=0.2,
            cup=True,
            scale=0.85,
        )
    ]


def other(take, rng):
    """One of four movements that are no gesture."""
    kinds = (_draw_circle, _pick_up, _scratch, _drink)
    return kinds[rng.integers(len(kinds))](take, rng)


Motion = Callable[[Take, np.random.Generator], list[Pose]]

# One row for each motion that is drawn: its gesture, the gesture of the same frames backwards (None
# where they show no other), and the function that poses the hands.
MOTIONS: tuple[tuple[str, str | None, Motion], ...] = (
    ("Swiping Left", "Swiping Right", swipe_left),
    ("Swiping Down", "Swiping Up", swipe_down),
    ("Pushing Hand Away", "Pulling Hand In", push),
    ("Sliding Two Fingers Left", "Sliding Two Fingers Right", slide_left),
    ("Sliding Two Fingers Down", "Sliding Two Fingers Up", slide_down),
    ("Pushing Two Fingers Away", "Pulling Two Fingers In", push_two),
    ("Rolling Hand Forward", "Rolling Hand Backward", roll_forward),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise", turn_clockwise),
    ("Zooming In With Full Hand", "Zooming Out With Full Hand", zoom_in_full),
    ("Zooming In With Two Fingers", "Zooming Out With Two Fingers", zoom_in_two),
    ("Thumb Up", None, thumb_up),
    ("Thumb Down", None, thumb_down),
    ("Shaking Hand", None, shake),
    ("Stop Sign", None, stop),
    ("Drumming Fingers", None, drum),
    ("No gesture", None, rest),
    ("Doing other things", None, other),
)
