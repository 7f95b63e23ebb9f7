"""The 27 gestures as poses of a hand over time, and what varies between takes whatever the gesture.

Ten motions are gestures in both directions of time: played backwards they are the opposite gesture. Directions are
those the viewer of the picture sees; left and right hands are drawn at random.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidjax.gestures.hand import Pose

OPEN = (0.04, 0.03, 0.05, 0.08)
TWO = (0.02, 0.02, 0.98, 1.0)
POINT = (0.02, 0.95, 1.0, 1.0)
FIST = (0.97, 1.0, 1.0, 0.98)


@dataclass(frozen=True)
class Take:
    """What is drawn without knowing the gesture: the person's size, place, hand, tempo and unsteadiness."""

    num_frames: int
    size: float  # pixels per hand
    place: np.ndarray  # [2] pixels
    tilt: float  # degrees
    turn: float  # degrees about the hand's own axis
    side: int
    phase: np.ndarray  # [T] 0 to 1, with a pause before and after
    pace: np.ndarray  # [T] the same at an even speed, for what goes round or to and fro
    wobble: np.ndarray  # [T, 4] x, y, angle, curl: slow and small
    stance: np.ndarray  # [4] finger offsets


def smooth_noise(
    rng: np.random.Generator, num_frames: int, num_channels: int, knots: int = 6
) -> np.ndarray:
    """A slow random curve per channel, about unit deviation: [num_frames, num_channels]."""
    values = rng.normal(size=(knots + 2, num_channels))
    at = np.linspace(0, knots, num_frames)
    low = at.astype(int)
    share = (1 - np.cos(np.pi * (at - low)))[:, None] / 2
    return values[low] * (1 - share) + values[low + 1] * share


def draw_take(rng: np.random.Generator, num_frames: int) -> Take:
    """The take's own draw; symmetric in left and right, and in time."""
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
    take: Take, *, x=0.0, y=0.0, scale=1.0, lean=0.0, roll=0.0, pitch=0.0, yaw=0.0, curl=OPEN, spread=0.35, fold=0.1,
    abduct=0.0, side: int | None = None, cup: bool = False
) -> Pose:  # fmt: skip
    """A pose from numbers or [T] arrays (x, y in pixels from the take's place; `curl` [4] or [T, 4])."""
    wide = [np.broadcast_to(np.asarray(v, float), (take.num_frames,)) for v in
            (x, y, scale, lean, roll, pitch, yaw, spread, fold, abduct)]  # fmt: skip
    x, y, scale, lean, roll, pitch, yaw, spread, fold, abduct = wide
    curl = (
        np.broadcast_to(np.asarray(curl, float), (take.num_frames, 4))
        + take.stance
        + take.wobble[:, 3:]
    )
    return Pose(
        centre=np.stack([x, y + 8], -1) + take.place + take.wobble[:, :2],
        scale=take.size * scale,
        lean=lean + take.tilt + take.wobble[:, 2],
        roll=roll + 0.0,
        pitch=pitch + take.wobble[:, 2],
        yaw=yaw + take.turn,
        curl=np.clip(curl, 0, 1.02),
        spread=spread + take.wobble[:, 3] * 2,
        fold=np.clip(fold, 0, 1),
        abduct=abduct + take.wobble[:, 2],
        side=take.side if side is None else side,
        cup=cup,
    )


def _two(rng):
    """Index and middle finger out, thumb over the others, sometimes from the back."""
    return {
        "curl": TWO,
        "spread": rng.uniform(0.0, 0.5),
        "fold": 1.0,
        "yaw": rng.choice([0.0, 180.0], p=[0.7, 0.3]),
    }


def _open(rng):
    return {
        "spread": rng.uniform(0.6, 1.1),
        "fold": rng.uniform(0, 0.15),
        "yaw": rng.choice([0.0, 180.0], p=[0.7, 0.3]),
    }


def _across(take, rng, reach, hand):
    x = rng.uniform(*reach) * (1 - 2 * take.phase)  # right to left
    swing = rng.uniform(0.3, 0.9)
    lift = -rng.uniform(0, 6) * np.sin(np.pi * take.phase)
    return [make_pose(take, x=x, y=lift, lean=x * swing, **hand)]


def _down(take, rng, reach, hand):
    y = rng.uniform(*reach) * (2 * take.phase - 1)
    lean = rng.choice([0.0, -1.0, 1.0]) * rng.uniform(25, 60)  # from below or from a side
    return [make_pose(take, y=y, lean=lean, pitch=rng.uniform(-25, 25), **hand)]


def _away(take, rng, hand):
    low, high = rng.uniform(0.52, 0.64), rng.uniform(1.15, 1.3)
    scale = low * (high / low) ** take.phase
    return [make_pose(take, scale=scale, y=4 * (scale - 1), lean=rng.uniform(-15, 15), **hand)]


def swipe_left(take, rng):
    return _across(take, rng, (32, 40), _open(rng))


def swipe_down(take, rng):
    return _down(take, rng, (28, 35), _open(rng))


def push(take, rng):
    return _away(take, rng, _open(rng) | {"yaw": 0.0})


def slide_left(take, rng):
    return _across(take, rng, (27, 35), _two(rng))


def slide_down(take, rng):
    return _down(take, rng, (24, 31), _two(rng))


def push_two(take, rng):
    return _away(take, rng, _two(rng))


def roll_forward(take, rng):
    """Round a horizontal axis: over the top towards the viewer, down in front, back below; with one hand or both."""
    around = 2 * np.pi * (rng.uniform() + rng.uniform(1.0, 1.4) * take.pace)
    radius, depth, from_side = rng.uniform(15, 21), rng.uniform(0.30, 0.40), rng.choice([-1, 1])
    shift = rng.uniform(0, 8)
    bend = rng.uniform(0.25, 0.5)
    poses = []
    for k in range(2 if rng.uniform() < 0.5 else 1):
        angle, side = around + np.pi * k, int(from_side * (1 - 2 * k))
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
    half = rng.uniform(62, 80)
    angle = half * (2 * take.phase - 1) + rng.uniform(-8, 8)
    hand = _open(rng)
    return [make_pose(take, lean=0.3 * angle, roll=0.7 * angle, **hand)]


def zoom_in_full(take, rng):
    u = take.phase[:, None]
    shut = rng.uniform(0.62, 0.75)
    curl = shut * (1 - u) + np.zeros(4) * u
    return [make_pose(take, curl=curl, spread=1.25 * take.phase, fold=0.75 * (1 - take.phase),
                      abduct=22 * take.phase, lean=rng.uniform(-20, 20), pitch=rng.uniform(-5, 15))]  # fmt: skip


def zoom_in_two(take, rng):
    u = take.phase
    bend = 0.56 * (1 - u)
    curl = np.stack([bend, np.full_like(u, 0.97), np.ones_like(u), np.ones_like(u)], -1)
    return [make_pose(take, curl=curl, spread=0.8 * u, fold=0.45 * (1 - u), abduct=-8 + 52 * u, scale=1.1,
                      lean=rng.uniform(-25, 25))]  # fmt: skip


def _arrive(take, share):
    """0 to 1 within the first `share` of the motion, then held."""
    u = np.clip(take.phase / share, 0, 1)
    return u * u * (3 - 2 * u)


def _thumb(take, rng, up):
    """Up: rises from below; down: comes in from the side and sinks. Up is 1 or -1."""
    here = _arrive(take, rng.uniform(0.25, 0.45))
    side, slope = take.side, up * rng.uniform(10, 35)
    away, sink = 1 - here, 12 * (take.phase - 0.6)
    # The forearm comes from the side and the thumb's side of the hand is up: the fingers close towards the viewer.
    return [
        make_pose(
            take,
            x=side * (4 if up > 0 else 4 + 80 * away),
            y=-6 + 55 * away if up > 0 else -10 + sink,
            scale=1.1,
            lean=-side * (90 - slope),
            roll=-side * slope * rng.uniform(0.6, 1.0),
            curl=FIST,
            fold=0.8 * away,
            abduct=44 * here,
            spread=0.0,
            side=side * up,
        )
    ]


def thumb_up(take, rng):
    return _thumb(take, rng, 1)


def thumb_down(take, rng):
    return _thumb(take, rng, -1)


def shake(take, rng):
    swing = np.sin(2 * np.pi * (rng.uniform(2.2, 3.6) * take.pace + rng.uniform()))
    hand = _open(rng)
    return [make_pose(take, x=rng.uniform(12, 18) * swing, lean=rng.uniform(12, 20) * swing,
                      roll=rng.uniform(8, 18) * swing, **hand)]  # fmt: skip


def stop(take, rng):
    here = _arrive(take, rng.uniform(0.25, 0.45))
    curl = 0.9 * (1 - here)[:, None] + np.zeros(4)
    return [make_pose(take, y=(1 - here) * 65 - 2, curl=curl, spread=rng.uniform(0.0, 0.35), fold=1 - here,
                      scale=0.85 + 0.2 * here)]  # fmt: skip


def drum(take, rng):
    beat = rng.uniform(2.2, 3.6) * take.pace + rng.uniform()
    order = np.arange(4) * rng.choice([-1, 1]) / 4
    curl = 0.06 + 0.66 * np.clip(np.sin(2 * np.pi * (beat[:, None] + order)), 0, 1)
    lean = rng.choice([-1, 1]) * rng.uniform(
        55, 95
    )  # the arm lies across the picture, as on a table
    return [
        make_pose(
            take, curl=curl, spread=0.8, fold=0.25, yaw=180.0, pitch=rng.uniform(-10, 20), lean=lean
        )
    ]


def rest(take, rng):
    """Nobody's hand, or one that lies low and does nothing."""
    if rng.uniform() < 0.5:
        return []
    bend = rng.uniform(0.2, 1.0)
    return [make_pose(take, y=rng.uniform(38, 50), lean=rng.uniform(-40, 40), curl=(bend,) * 4, fold=bend,
                      yaw=rng.choice([0.0, 180.0]), scale=0.85)]  # fmt: skip


def _draw_circle(take, rng):
    """Draws a circle in the air with a pointing finger."""
    angle = 2 * np.pi * (rng.uniform() + rng.choice([-1, 1]) * rng.uniform(1.0, 1.6) * take.pace)
    return [
        make_pose(
            take, x=20 * np.cos(angle), y=6 + 16 * np.sin(angle), curl=POINT, fold=0.9, scale=0.9
        )
    ]


def _pick_up(take, rng):
    """Down with an open hand, shut, up again; the fingers point down."""
    shut = np.clip((take.phase - 0.35) / 0.3, 0, 1)
    curl = 0.15 + 0.6 * shut[:, None] + np.zeros(4)
    lean = rng.choice([-1, 1]) * rng.uniform(120, 150)
    return [
        make_pose(
            take,
            y=-30 + 42 * np.sin(np.pi * take.phase),
            lean=lean,
            curl=curl,
            fold=0.2 + 0.5 * shut,
        )
    ]


def _scratch(take, rng):
    """Bent fingers work close to the head, from the side."""
    beat = np.sin(2 * np.pi * 4 * take.pace)
    curl = 0.42 + 0.16 * beat[:, None] + np.zeros(4)
    side = rng.choice([-1, 1])
    return [make_pose(take, x=side * 10, y=-28 + 4 * beat, lean=-side * rng.uniform(35, 60), roll=-side * 25, curl=curl,
                      fold=0.3, yaw=180.0, scale=0.8)]  # fmt: skip


def _drink(take, rng):
    """Lifts a cup, tips it, and puts it down."""
    lift = np.sin(np.pi * take.phase) ** 0.7
    side = take.side
    return [make_pose(take, y=34 - 44 * lift, lean=-side * 78, roll=side * 38 * lift**3, curl=(0.62, 0.64, 0.66, 0.68),
                      fold=0.35, abduct=20, spread=0.2, cup=True, scale=0.85, side=side)]  # fmt: skip


def other(take, rng):
    kinds = (_draw_circle, _pick_up, _scratch, _drink)
    return kinds[rng.integers(len(kinds))](take, rng)


# One row a rendered motion: its gesture, the gesture of the same frames backwards (or none), the motion.
Motion = Callable[[Take, np.random.Generator], list[Pose]]
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
