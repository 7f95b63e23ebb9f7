"""An articulated hand in three dimensions, turned into shaded polygons for one clip at a time.

Lengths are in hands: 1 is about the distance from the wrist to the tip of the middle finger. In the
frame of the hand, x points to the thumb, y along the fingers and z out of the palm; in the frame of
the viewer, x is right, y up and z to the viewer. Everything is computed for all T frames at once.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PIVOT = (0.0, 0.30, 0.0)  # the middle of the palm: the hand turns about it, and `centre` places it

# Rows are index, middle, ring and little finger; columns go from the palm to the tip.
KNUCKLES = ((0.165, 0.475), (0.055, 0.505), (-0.055, 0.485), (-0.155, 0.425))
PHALANGES = ((0.215, 0.135, 0.10), (0.235, 0.15, 0.105), (0.215, 0.14, 0.10), (0.165, 0.105, 0.085))
FINGER_RADII = (
    (0.060, 0.056, 0.050, 0.042),
    (0.061, 0.057, 0.051, 0.043),
    (0.059, 0.055, 0.048, 0.041),
    (0.051, 0.047, 0.042, 0.036),
)
FINGER_BENDS = (80.0, 100.0, 60.0)  # degrees at the three joints of a fist
FINGER_FAN = (15.0, 3.0, -8.0, -21.0)  # degrees towards the thumb at spread 1

THUMB_BASE = (0.105, 0.12, 0.03)
THUMB_BONES = (0.185, 0.165, 0.13)
THUMB_RADII = (0.085, 0.066, 0.057, 0.046)

# Circles (x, y, radius) whose hull is the palm; the first two are at the wrist.
PALM = (
    (0.09, 0.02, 0.075),
    (-0.085, 0.02, 0.075),
    (0.145, 0.15, 0.07),
    (-0.135, 0.15, 0.075),
    (0.165, 0.44, 0.062),
    (0.055, 0.47, 0.062),
    (-0.155, 0.39, 0.055),
)
CUP = ((0.34, 0.33, 0.0), (0.34, 0.57, 0.0), (-0.26, 0.36, 0.0), (-0.26, 0.54, 0.0))
FOREARM = 2.6  # from the wrist to the elbow
PERSPECTIVE = 0.32  # how much larger a point one hand nearer to the viewer is
OUTLINE = 0.013  # width of the dark line around each part
TONES = (0.46, 0.82, 1.0, 1.12)  # brightness of outline, shaded side, lit side and highlight

NUM_MASSES = 5  # forearm, sleeve, web, palm, cup
HAND_MASSES = (2, 3)  # of them, those that are parts of the hand
CUP_PART = 4  # the place of the cup among them

Polygon = tuple[list[float], int]  # x, y, x, y, ... in pixels, and an ink of Pillow


@dataclass(frozen=True)
class Pose:
    """One hand through T frames. Angles are in degrees, clockwise for the viewer.

    Args:
        centre: [T, 2], pixels from the middle of the frame, x right and y down.
        scale: [T], pixels for a length of 1.
        lean: [T], the angle of the forearm in the picture; at 0 it comes from below.
        roll: [T], the angle of the hand in the picture beyond that of the forearm.
        pitch: [T], by how much the fingers point towards the viewer.
        yaw: [T], about the axis of the hand; 0 shows the palm, 180 the back.
        curl: [T, 4], of each finger from 0 (straight) to 1 (a fist).
        spread: [T], how far the fingers fan out.
        fold: [T], how far the thumb lies across the palm.
        abduct: [T], of the thumb, away from the fingers.
        side: 1 where the thumb is on the viewer's right while the palm shows, else -1.
        cup: whether the hand holds one.
    """

    centre: np.ndarray
    scale: np.ndarray
    lean: np.ndarray
    roll: np.ndarray
    pitch: np.ndarray
    yaw: np.ndarray
    curl: np.ndarray
    spread: np.ndarray
    fold: np.ndarray
    abduct: np.ndarray
    side: int
    cup: bool = False


@dataclass(frozen=True)
class Look:
    """Colours [3], RGB from 0 to 255, and light.

    Args:
        back: skin of the back of the hand.
        palm: skin of the palm.
        sleeve: of the forearm.
        cup: in the hand.
        cuff: where on the forearm the sleeve begins; 0 is the wrist, 1 the elbow.
        light: [3], unit vector towards the light in the frame of the viewer.
    """

    back: np.ndarray
    palm: np.ndarray
    sleeve: np.ndarray
    cup: np.ndarray
    cuff: float
    light: np.ndarray


class _Digits(NamedTuple):
    """Four fingers and the thumb in the frame of the hand."""

    joints: np.ndarray  # [T, 5, 4, 3], from the root to the tip
    directions: np.ndarray  # [T, 5, 3, 3], of each bone
    normals: np.ndarray  # [T, 5, 3, 3], out of the palm's side of each bone


class _Layers(NamedTuple):
    """P parts of a hand, each of four layers that are painted one upon the other."""

    polygons: np.ndarray  # [T, P, 4, K, 2], in pixels
    inks: np.ndarray  # [T, P, 4]
    depth: np.ndarray  # [T, P], towards the viewer


class _Nails(NamedTuple):
    """The nails of five digits."""

    polygons: np.ndarray  # [T, 5, K, 2], in pixels
    inks: np.ndarray  # [T, 5]
    shown: np.ndarray  # bool [T, 5]


def _turn(vectors, pose):
    """From the frame of the hand to that of the viewer: [T, ..., 3] -> [T, ..., 3]."""
    yaw = np.radians(_per_vector(pose.yaw, vectors))
    pitch = np.radians(_per_vector(pose.pitch, vectors))
    plane = np.radians(_per_vector(pose.lean + pose.roll, vectors))
    # The other hand is the mirror image. Then turn about the three axes, the hand's own first.
    x, y, z = vectors[..., 0] * pose.side, vectors[..., 1], vectors[..., 2]
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    x, y = x * np.cos(plane) + y * np.sin(plane), y * np.cos(plane) - x * np.sin(plane)
    return np.stack([x, y, z], -1)


def _per_vector(values, vectors):
    """[T] -> [T, 1, ...], to be broadcast over vectors [T, ..., 3] without their last axis."""
    return values.reshape((-1,) + (1,) * (vectors.ndim - 2))


def _digits(pose):
    """The skeleton of the fingers and the thumb."""
    frames = len(pose.scale)
    fan = np.radians(pose.spread[:, None] * np.array(FINGER_FAN))  # [T, 4]
    along = np.stack([np.sin(fan), np.cos(fan), np.zeros_like(fan)], -1)[:, :, None]  # [T, 4, 1, 3]
    # Each bone is bent by all joints before it.
    bends = np.cumsum(np.radians(pose.curl[..., None] * np.array(FINGER_BENDS)), -1)  # [T, 4, 3]
    bends = bends[..., None]  # [T, 4, 3, 1]
    out = np.array([0.0, 0.0, 1.0])
    fingers = np.cos(bends) * along + np.sin(bends) * out
    normals = np.cos(bends) * out - np.sin(bends) * along

    fold = pose.fold[:, None]
    # The angles of the thumb's bones in the plane of the palm, and out of it.
    plane = np.radians(
        np.array([50.0, 38.0, 30.0]) - fold * np.array([15.0, 95.0, 112.0]) + pose.abduct[:, None]
    )
    rise = np.radians(np.array([12.0, 8.0, 4.0]) + fold * np.array([28.0, 22.0, -4.0]))
    thumb = np.stack(
        [np.sin(plane) * np.cos(rise), np.cos(plane) * np.cos(rise), np.sin(rise)], -1
    )  # [T, 3, 3]
    across = np.broadcast_to(np.array([-0.6, 0.0, 0.8]), thumb.shape)

    directions = np.concatenate([fingers, thumb[:, None]], 1)
    normals = np.concatenate([normals, across[:, None]], 1)
    lengths = np.array([*PHALANGES, THUMB_BONES])
    roots = np.array([*[(x, y, 0.0) for x, y in KNUCKLES], THUMB_BASE])
    steps = np.cumsum(directions * lengths[..., None], 2)
    roots = np.broadcast_to(roots[:, None], (frames, 5, 1, 3))
    return _Digits(np.concatenate([roots, roots + steps], 2), directions, normals)


def _hull(centres, radii, corners):
    """The convex hull of M circles, as a polygon: [..., M, 2], [..., M] -> [..., corners, 2].

    In each direction, the hull touches the circle that extends farthest.
    """
    angles = np.arange(corners) * (2 * np.pi / corners)
    rim = np.stack([np.cos(angles), np.sin(angles)], -1)  # [K, 2]
    extents = centres @ rim.T + radii[..., None]  # [..., M, K]
    farthest = extents.argmax(-2)[..., None]  # [..., K, 1]
    touched_centres = np.take_along_axis(centres, farthest, -2)  # [..., K, 2]
    touched_radii = np.take_along_axis(radii[..., None], farthest, -2)  # [..., K, 1]
    return touched_centres + touched_radii * rim


def _inks(colours):
    """RGB floats [..., 3] -> integers [...] as Pillow has them, with red in the lowest byte."""
    parts = np.clip(colours, 0, 255).astype(np.int64)
    return parts[..., 0] + (parts[..., 1] << 8) + (parts[..., 2] << 16)


def _skin(look, facing, brightness):
    """Colours from the back's to the palm's: [...] -> [..., 3].

    `facing` says how far the palm's side faces the viewer, from -1 to 1.
    """
    share = np.clip(facing * 1.5 + 0.5, 0, 1)[..., None]
    return (look.back * (1 - share) + look.palm * share) * brightness[..., None]


def _project(points, radii, *, pose):
    """Spheres in the frame of the hand become circles in the picture.

    points [T, ..., 3] and radii [...] become centres [T, ..., 2] in pixels from the middle of the
    frame with y down, radii in pixels [T, ...], and depth [T, ...].
    """
    seen = _turn(points - np.array(PIVOT), pose)
    zoom = _per_vector(pose.scale, points) / (1 - PERSPECTIVE * seen[..., 2])
    place = pose.centre.reshape((-1,) + (1,) * (points.ndim - 2) + (2,))
    # y is up for the viewer and down in the picture.
    return place + seen[..., :2] * zoom[..., None] * (1, -1), radii * zoom, seen[..., 2]


def _bones(digits, pose, look):
    """The fifteen bones as layers, a row of three for each digit, and the nails."""
    frames = len(pose.scale)
    radii = np.array([*FINGER_RADII, THUMB_RADII])  # [5, 4]
    points, widths, depth = _project(digits.joints, radii, pose=pose)  # [T, 5, 4, 2], [T, 5, 4]
    ends = np.stack([points[:, :, :-1], points[:, :, 1:]], 3)  # [T, 5, 3, 2, 2]
    widths = np.stack([widths[:, :, :-1], widths[:, :, 1:]], 3)  # [T, 5, 3, 2]
    directions = _turn(digits.directions, pose)  # [T, 5, 3, 3]

    # The lit layers go on over a straight joint, so that no line crosses the finger there. Over a
    # folded joint they must not.
    along = digits.directions
    straight = np.clip((along[:, :, 1:] * along[:, :, :-1]).sum(-1), 0, 1)  # [T, 5, 2]
    root = np.clip(along[:, :, :1, 1], 0, 1)
    tip = np.zeros((frames, 5, 1))
    before = np.concatenate([root * 1.6, straight], 2)  # [T, 5, 3]
    behind = np.concatenate([straight, tip], 2)  # [T, 5, 3]
    overlap = np.stack([before, behind], 3)  # [T, 5, 3, 2]
    outwards = directions[..., None, :2] * (1, -1) * np.array([-1.0, 1.0])[:, None]
    edge = OUTLINE * pose.scale[:, None, None, None]
    shift = outwards * (overlap * (0.34 * widths + edge))[..., None]  # [T, 5, 3, 2, 2]

    # Four layers: outline, shaded side, lit side, and a highlight; light moves the upper two.
    light = look.light[:2] * (1, -1)
    lit_ends = ends + shift + light * widths[..., None] * 0.14
    highlight_ends = ends + shift + light * widths[..., None] * 0.34
    centres = np.stack([ends, ends, lit_ends, highlight_ends], 3)  # [T, 5, 3, 4, 2, 2]
    radii = np.stack([widths + edge, widths, widths * 0.78, widths * 0.30], 3)  # [T, 5, 3, 4, 2]
    polygons = _hull(centres, radii, 14).reshape(frames, 15, 4, 14, 2)

    brightness = 0.78 + 0.24 * np.sqrt(np.clip(1 - (directions @ look.light) ** 2, 0, 1))
    facing = _turn(digits.normals, pose)[..., 2]  # [T, 5, 3]
    colours = _skin(look, facing, brightness)[..., None, :] * np.array(TONES)[:, None]
    depth = (depth[:, :, :-1] + depth[:, :, 1:]).reshape(frames, 15) / 2

    last_bones = ends[:, :, 2]  # [T, 5, 2, 2]
    share = np.array([0.55, 0.98])[:, None]  # along the last bone, where a nail begins and ends
    nail_ends = last_bones[:, :, :1] * (1 - share) + last_bones[:, :, 1:] * share
    nails = _Nails(
        polygons=_hull(nail_ends, widths[:, :, 2] * 0.52, 10),
        inks=_inks(colours[:, :, 2, 2] * 0.8 + np.array([62.0, 48.0, 46.0])),
        # A finger shows its nail from the back; the thumb, which lies aslant, from the side.
        shown=(facing[:, :, 2] < -0.35) & (np.arange(5) < 4)
        | (np.abs(facing[:, :, 2] + 0.5) < 0.35),
    )
    return _Layers(polygons, _inks(colours).reshape(frames, 15, 4), depth), nails


def _masses(joints, pose, look):
    """Forearm, sleeve, web of the thumb, palm and cup as layers, in this order."""
    frames, scale = len(pose.scale), pose.scale[:, None]
    palm = np.array([(x, y, 0.0) for x, y, _ in PALM])
    still = np.broadcast_to(np.concatenate([palm, np.array(CUP) + (0, 0, 0.13)]), (frames, 11, 3))
    thumb_joint, thumb_root, knuckle = joints[:, 4, 1], joints[:, 4, 0], joints[:, 0, 0]
    between = knuckle * 0.5 + thumb_joint * 0.5
    web = np.stack([thumb_joint, thumb_root, knuckle, between], 1)
    wrist = np.zeros((frames, 1, 3))
    # Points 0 to 6 are the palm, 7 to 10 the cup, 11 to 14 the web, and 15 is the wrist.
    points = np.concatenate([still, web, wrist], 1)
    palm_radii = [radius for _, _, radius in PALM]
    sizes = np.array([*palm_radii, *[0.05] * 4, 0.05, 0.05, 0.045, 0.01, 0.145])
    points, radii, depth = _project(points, sizes, pose=pose)

    lean = np.radians(pose.lean)
    down = np.stack([-np.sin(lean), np.cos(lean)], -1)  # from wrist to elbow, y down
    wrist = points[:, 15]
    elbow = wrist + down * scale * FOREARM
    cuff = wrist + down * scale * FOREARM * look.cuff
    arm = np.stack([wrist + down * scale * 0.03, elbow], 1)
    parts = [
        (arm, scale * (0.14, 0.23)),
        (np.stack([cuff, elbow], 1), scale * (0.19, 0.28)),
        (points[:, 11:15], radii[:, 11:15]),
        (points[:, :7], radii[:, :7]),
        (points[:, 7:11], radii[:, 7:11]),
    ]
    light = look.light[:2] * (1, -1)
    polygons = np.stack([_mass(*part, scale=scale, light=light) for part in parts], 1)

    normal = _turn(np.broadcast_to(np.array([0.0, 0.0, 1.0]), (frames, 1, 3)), pose)  # [T, 1, 3]
    brightness = 0.78 + 0.22 * np.abs(normal @ look.light)  # [T, 1]
    skin = _skin(look, normal[..., 2], brightness)  # [T, 1, 3]
    ones = np.ones((frames, 1, 1))
    colours = np.concatenate([skin, look.sleeve * ones, skin * 0.93, skin, look.cup * ones], 1)
    contrast = np.array([1, 1, 1, 0.6, 1])[:, None, None]  # the palm is flat
    inks = _inks(colours[:, :, None] * np.array(TONES)[:, None] ** contrast)

    # The arm is behind everything. The palm is just under fingers that lie in its plane.
    palm_depth = depth[:, :7].mean(1) - 0.04
    behind = np.zeros(frames)
    depths = [behind - 90, behind - 80, palm_depth - 0.01, palm_depth, depth[:, 7:11].mean(1)]
    return _Layers(polygons, inks, np.stack(depths, 1))


def _mass(centres, radii, *, scale, light):
    """The four layers of one part: circles [T, M, 2], [T, M] -> polygons [T, 4, 24, 2]."""
    middle = centres.mean(1, keepdims=True)
    lit = centres + (middle - centres) * 0.10 + light * radii[..., None] * 0.22
    highlight = centres + (middle - centres) * 0.34 + light * radii[..., None] * 0.5
    # The outline of the palm stops short of the wrist, where skin goes on into skin.
    inwards = 0.0
    if centres.shape[1] == len(PALM):
        inwards = np.array([0.09] * 2 + [0.0] * 5)[:, None]
    outline = centres + (middle - centres) * inwards * 3
    layers = [
        _hull(outline, radii + OUTLINE * scale, 24),
        _hull(centres, radii, 24),
        _hull(lit, radii * 0.74, 24),
        _hull(highlight, radii * 0.45, 24),
    ]
    return np.stack(layers, 1)


def shapes(pose: Pose, look: Look, *, ink: int | None = None) -> list[list[Polygon]]:
    """For each of T frames, the polygons of a hand from back to front, in the pose's pixels.

    With an `ink`, fingers, palm and web are of that ink all over, and what is no hand has ink 0.
    """
    digits = _digits(pose)
    bones, nails = _bones(digits, pose, look)
    masses = _masses(digits.joints, pose, look)
    if ink is not None:
        is_hand = np.isin(np.arange(NUM_MASSES), HAND_MASSES)
        masses = _in_one_ink(masses, ink * is_hand, layers=(0, 1))
        bones = _in_one_ink(bones, np.full(15, ink), layers=(0, 2))
        nails = nails._replace(shown=np.zeros_like(nails.shown))
    # Paint what is far away first: parts 0 to 4 are the masses, 5 to 19 the bones.
    order = np.argsort(np.concatenate([masses.depth, bones.depth], 1), 1).tolist()
    num_frames = len(order)
    # Lists of Python are faster than arrays here, entry by entry.
    mass_points = masses.polygons.reshape(*masses.inks.shape, -1).tolist()  # [T, 5, layers, 2 K]
    bone_points = bones.polygons.reshape(*bones.inks.shape, -1).tolist()  # [T, 15, layers, 2 K]
    nail_points = nails.polygons.reshape(num_frames, 5, -1).tolist()
    mass_inks, bone_inks, nail_inks = masses.inks.tolist(), bones.inks.tolist(), nails.inks.tolist()
    nail_shown = nails.shown.tolist()
    frames = []
    for t in range(num_frames):
        polygons = []
        for part in order[t]:
            if part < CUP_PART or (part == CUP_PART and pose.cup):
                polygons += zip(mass_points[t][part], mass_inks[t][part], strict=True)
            elif part > CUP_PART:
                bone = part - NUM_MASSES
                polygons += zip(bone_points[t][bone], bone_inks[t][bone], strict=True)
                digit, place = divmod(bone, 3)
                # A nail lies on the last bone of its digit.
                if place == 2 and nail_shown[t][digit]:
                    polygons.append((nail_points[t][digit], nail_inks[t][digit]))
        frames.append(polygons)
    return frames


def _in_one_ink(parts: _Layers, inks: np.ndarray, *, layers: tuple[int, ...]) -> _Layers:
    """The parts with an ink each, [P], and only these of their layers.

    The layers that are left out, and nails, lie within others of their part: in one ink they would
    take time and show nothing, but for a pixel of the drawing in many millions, by rounding.
    """
    polygons = parts.polygons[:, :, list(layers)]
    every_ink = np.broadcast_to(inks[:, None], polygons.shape[:3])
    return _Layers(polygons, every_ink, parts.depth)
