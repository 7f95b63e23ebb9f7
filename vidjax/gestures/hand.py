"""An articulated hand in three dimensions, turned into shaded polygons for one clip at a time.

Lengths are in hands: 1 is about the distance from the wrist to the tip of the middle finger. In the hand's own frame x
points to the thumb, y along the fingers, z out of the palm; in the viewer's frame x is right, y up, z to the viewer.
Everything is computed for all T frames at once, so that a frame costs no more than its polygons.
"""

from dataclasses import dataclass

import numpy as np

PIVOT = (
    0.0,
    0.30,
    0.0,
)  # the middle of the palm: where `centre` puts the hand, and what it turns about
KNUCKLES = (
    (0.165, 0.475),
    (0.055, 0.505),
    (-0.055, 0.485),
    (-0.155, 0.425),
)  # index, middle, ring, little
PHALANGES = ((0.215, 0.135, 0.10), (0.235, 0.15, 0.105), (0.215, 0.14, 0.10), (0.165, 0.105, 0.085))
FINGER_RADII = ((0.060, 0.056, 0.050, 0.042), (0.061, 0.057, 0.051, 0.043), (0.059, 0.055, 0.048, 0.041),
                (0.051, 0.047, 0.042, 0.036))  # fmt: skip
FINGER_BENDS = (80.0, 100.0, 60.0)  # degrees at the three joints of a fist
FINGER_FAN = (15.0, 3.0, -8.0, -21.0)  # degrees towards the thumb at spread 1
THUMB_BASE = (0.105, 0.12, 0.03)
THUMB_BONES = (0.185, 0.165, 0.13)
THUMB_RADII = (0.085, 0.066, 0.057, 0.046)
PALM = ((0.09, 0.02, 0.075), (-0.085, 0.02, 0.075), (0.145, 0.15, 0.07), (-0.135, 0.15, 0.075), (0.165, 0.44, 0.062),
        (0.055, 0.47, 0.062), (-0.155, 0.39, 0.055))  # circles: x, y, radius # fmt: skip
CUP = ((0.34, 0.33, 0.0), (0.34, 0.57, 0.0), (-0.26, 0.36, 0.0), (-0.26, 0.54, 0.0))
FOREARM = 2.6  # hands from the wrist to the elbow
PERSPECTIVE = 0.32
OUTLINE = 0.013
TONES = (0.46, 0.82, 1.0, 1.12)  # outline, shaded side, lit side, highlight


@dataclass(frozen=True)
class Pose:
    """One hand through T frames; angles in degrees, clockwise as the viewer sees them."""

    centre: np.ndarray  # [T, 2] pixels from the middle of the frame, x right and y down
    scale: np.ndarray  # [T] pixels per hand
    lean: np.ndarray  # [T] the forearm's angle in the picture: 0 comes from below
    roll: np.ndarray  # [T] the hand's angle in the picture beyond the forearm's
    pitch: np.ndarray  # [T] fingers towards the viewer
    yaw: np.ndarray  # [T] about the hand's own axis: 0 shows the palm, 180 the back
    curl: np.ndarray  # [T, 4] 0 straight, 1 a fist
    spread: np.ndarray  # [T] the fan of the fingers
    fold: np.ndarray  # [T] the thumb across the palm
    abduct: np.ndarray  # [T] degrees of the thumb away from the fingers
    side: int  # 1 thumb to the viewer's right when the palm shows, -1 to the left
    cup: bool = False


@dataclass(frozen=True)
class Look:
    """Colours (RGB, 0 to 255) and the direction of the light, towards it, in the viewer's frame."""

    back: np.ndarray  # [3]
    palm: np.ndarray  # [3]
    sleeve: np.ndarray  # [3]
    cup: np.ndarray  # [3]
    cuff: float  # where on the forearm the sleeve begins, 0 at the wrist
    light: np.ndarray  # [3], unit length


def _turn(vectors, pose):
    """Hand's frame -> viewer's frame: [T, ..., 3] -> [T, ..., 3]."""
    shape = (-1,) + (1,) * (vectors.ndim - 2)
    yaw, pitch, plane = (
        np.radians(a).reshape(shape) for a in (pose.yaw, pose.pitch, pose.lean + pose.roll)
    )
    x, y, z = vectors[..., 0] * pose.side, vectors[..., 1], vectors[..., 2]
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    x, y = x * np.cos(plane) + y * np.sin(plane), y * np.cos(plane) - x * np.sin(plane)
    return np.stack([x, y, z], -1)


def _digits(pose):
    """Joints [T, 5, 4, 3] and directions, palm-side normals of the bones [T, 5, 3, 3], in the hand's frame."""
    frames = len(pose.scale)
    fan = np.radians(pose.spread[:, None] * np.array(FINGER_FAN))  # [T, 4]
    along = np.stack([np.sin(fan), np.cos(fan), np.zeros_like(fan)], -1)[:, :, None]  # [T, 4, 1, 3]
    bends = np.cumsum(np.radians(pose.curl[..., None] * np.array(FINGER_BENDS)), -1)[
        ..., None
    ]  # [T, 4, 3, 1]
    out = np.array([0.0, 0.0, 1.0])
    fingers = np.cos(bends) * along + np.sin(bends) * out
    normals = np.cos(bends) * out - np.sin(bends) * along

    fold = pose.fold[:, None]
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
    return np.concatenate([roots, roots + steps], 2), directions, normals


def _hull(centres, radii, corners):
    """The outline of circles drawn round with a rubber band: [..., M, 2], [..., M] -> [..., corners, 2]."""
    angles = np.arange(corners) * (2 * np.pi / corners)
    rim = np.stack([np.cos(angles), np.sin(angles)], -1)  # [K, 2]
    reach = centres @ rim.T + radii[..., None]  # [..., M, K]
    best = reach.argmax(-2)[..., None]  # [..., K, 1]
    return (
        np.take_along_axis(centres, best, -2) + np.take_along_axis(radii[..., None], best, -2) * rim
    )


def _inks(colours):
    """RGB floats [..., 3] -> Pillow's integers, red in the lowest byte."""
    parts = np.clip(colours, 0, 255).astype(np.int64)
    return parts[..., 0] + (parts[..., 1] << 8) + (parts[..., 2] << 16)


def _skin(look, facing, brightness):
    """Between the back's and the palm's colour by how far the palm faces the viewer (-1 to 1): [...] -> [..., 3]."""
    share = np.clip(facing * 1.5 + 0.5, 0, 1)[..., None]
    return (look.back * (1 - share) + look.palm * share) * brightness[..., None]


class _Camera:
    """Places points given in hands into the picture: pixels from the middle of the frame, y down."""

    def __init__(self, pose):
        self.pose = pose

    def __call__(self, points, radii):
        """Hand's frame [T, ..., 3], radii [...] -> picture [T, ..., 2], radii in pixels [T, ...], depth [T, ...]."""
        turned = _turn(points - np.array(PIVOT), self.pose)
        zoom = self.pose.scale.reshape((-1,) + (1,) * (points.ndim - 2)) / (
            1 - PERSPECTIVE * turned[..., 2]
        )
        centre = self.pose.centre.reshape((-1,) + (1,) * (points.ndim - 2) + (2,))
        return centre + turned[..., :2] * zoom[..., None] * (1, -1), radii * zoom, turned[..., 2]


def _bones(pose, look, camera, joints, directions, normals):
    """Fifteen bones: polygons [T, 15, 4, K, 2], inks [T, 15, 4], depth [T, 15]; nails [T, 5, K, 2], inks, shown."""
    frames = len(pose.scale)
    radii = np.array([*FINGER_RADII, THUMB_RADII])
    points, widths, depth = camera(joints, radii)  # [T, 5, 4, 2], [T, 5, 4], [T, 5, 4]
    ends = np.stack([points[:, :, :-1], points[:, :, 1:]], 3)  # [T, 5, 3, 2, 2]
    widths = np.stack([widths[:, :, :-1], widths[:, :, 1:]], 3)  # [T, 5, 3, 2]
    turned = _turn(directions, pose)

    # The lit layers reach over a straight joint, so that no line crosses the finger there; not over a folded one.
    straight = np.clip((directions[:, :, 1:] * directions[:, :, :-1]).sum(-1), 0, 1)  # [T, 5, 2]
    root = np.clip(directions[:, :, :1, 1], 0, 1)
    tip = np.zeros((frames, 5, 1))
    overlap = np.stack(
        [np.concatenate([root * 1.6, straight], 2), np.concatenate([straight, tip], 2)], 3
    )  # [T, 5, 3, 2]
    flat = turned[..., None, :2] * (1, -1) * np.array([-1.0, 1.0])[:, None]
    shift = (
        flat * (overlap * (0.34 * widths + OUTLINE * pose.scale[:, None, None, None]))[..., None]
    )
    lean = look.light[:2] * (1, -1)
    centres = np.stack([ends, ends, ends + shift + lean * widths[..., None] * 0.14,
                        ends + shift + lean * widths[..., None] * 0.34], 3)  # [T, 5, 3, 4, 2, 2] # fmt: skip
    edge = OUTLINE * pose.scale[:, None, None, None]
    layers = np.stack([widths + edge, widths, widths * 0.78, widths * 0.30], 3)
    polygons = _hull(centres, layers, 14).reshape(frames, 15, 4, 14, 2)

    lit = 0.78 + 0.24 * np.sqrt(np.clip(1 - (turned @ look.light) ** 2, 0, 1))  # [T, 5, 3]
    facing = _turn(normals, pose)[..., 2]
    colours = _skin(look, facing, lit)[..., None, :] * np.array(TONES)[:, None]
    place = (depth[:, :, :-1] + depth[:, :, 1:]).reshape(frames, 15) / 2

    last, broad = ends[:, :, 2], widths[:, :, 2]
    along = np.array([0.55, 0.98])[:, None]
    nails = _hull(last[:, :, :1] * (1 - along) + last[:, :, 1:] * along, broad * 0.52, 10)
    nail_ink = _inks(colours[:, :, 2, 2] * 0.8 + np.array([62.0, 48.0, 46.0]))
    shown = (facing[:, :, 2] < -0.35) & (np.arange(5) < 4) | (np.abs(facing[:, :, 2] + 0.5) < 0.35)
    return polygons, _inks(colours).reshape(frames, 15, 4), place, (nails, nail_ink, shown)


def _masses(pose, look, camera, joints):
    """Forearm, sleeve, web of the thumb, palm, cup: polygons [T, 5, 4, K, 2], inks [T, 5, 4], depth [T, 5]."""
    frames, scale = len(pose.scale), pose.scale[:, None]
    palm = np.array([(x, y, 0.0) for x, y, _ in PALM])
    still = np.broadcast_to(np.concatenate([palm, np.array(CUP) + (0, 0, 0.13)]), (frames, 11, 3))
    web = np.stack(
        [
            joints[:, 4, 1],
            joints[:, 4, 0],
            joints[:, 0, 0],
            joints[:, 0, 0] * 0.5 + joints[:, 4, 1] * 0.5,
        ],
        1,
    )
    points = np.concatenate([still, web, np.zeros((frames, 1, 3))], 1)
    sizes = np.array([r for _, _, r in PALM] + [0.05] * 4 + [0.05, 0.05, 0.045, 0.01] + [0.145])
    points, radii, depth = camera(points, sizes)

    lean = np.radians(pose.lean)
    down = np.stack([-np.sin(lean), np.cos(lean)], -1)  # from wrist to elbow, y down
    wrist = points[:, 15]
    elbow, cuff = (wrist + down * scale * FOREARM * f for f in (1.0, look.cuff))
    arm = np.stack([wrist + down * scale * 0.03, elbow], 1)
    sleeve = np.stack([cuff, elbow], 1)
    parts = [(arm, scale * (0.14, 0.23)), (sleeve, scale * (0.19, 0.28)), (points[:, 11:15], radii[:, 11:15]),
             (points[:, :7], radii[:, :7]), (points[:, 7:11], radii[:, 7:11])]  # fmt: skip
    light = look.light[:2] * (1, -1)
    polygons = []
    for centres, widths in parts:
        middle = centres.mean(1, keepdims=True)
        inner = centres + (middle - centres) * 0.10 + light * widths[..., None] * 0.22
        core = centres + (middle - centres) * 0.34 + light * widths[..., None] * 0.5
        # The palm's own line stops short of the wrist, where skin goes on into skin.
        skip = np.array([0.09] * 2 + [0.0] * 5)[:, None] if centres.shape[1] == len(PALM) else 0.0
        outer = centres + (middle - centres) * skip * 3
        layers = [
            (outer, widths + OUTLINE * scale),
            (centres, widths),
            (inner, widths * 0.74),
            (core, widths * 0.45),
        ]
        polygons.append(np.stack([_hull(c, w, 24) for c, w in layers], 1))

    normal = _turn(np.broadcast_to(np.array([0.0, 0.0, 1.0]), (frames, 1, 3)), pose)  # [T, 1, 3]
    lit = 0.78 + 0.22 * np.abs(normal @ look.light)  # [T, 1]
    skin = _skin(look, normal[..., 2], lit)
    ones = np.ones((frames, 1, 1))
    colours = np.concatenate([skin, look.sleeve * ones, skin * 0.93, skin, look.cup * ones], 1)
    inks = _inks(
        colours[:, :, None] * np.array(TONES)[:, None] ** np.array([1, 1, 1, 0.6, 1])[:, None, None]
    )
    at_palm = depth[:, :7].mean(1) - 0.04  # just under fingers that lie in the palm's plane
    place = np.stack(
        [at_palm * 0 - 90, at_palm * 0 - 80, at_palm - 0.01, at_palm, depth[:, 7:11].mean(1)], 1
    )
    return np.stack(polygons, 1), inks, place


def shapes(pose: Pose, look: Look) -> list[list[tuple[list[float], int]]]:
    """For each of T frames, polygons from back to front: flat x, y lists (pixels from the middle) and Pillow inks."""
    joints, directions, normals = _digits(pose)
    camera = _Camera(pose)
    bones, bone_inks, bone_depth, (nails, nail_inks, nail_shown) = _bones(
        pose, look, camera, joints, directions, normals
    )
    masses, mass_inks, mass_depth = _masses(pose, look, camera, joints)
    order = np.argsort(np.concatenate([mass_depth, bone_depth], 1), 1).tolist()
    frames = len(order)
    masses = masses.reshape(frames, 5, 4, -1).tolist()
    bones = bones.reshape(frames, 15, 4, -1).tolist()
    nails = nails.reshape(frames, 5, -1).tolist()
    mass_inks, bone_inks, nail_inks, nail_shown = (
        a.tolist() for a in (mass_inks, bone_inks, nail_inks, nail_shown)
    )
    result = []
    for t in range(frames):
        drawn = []
        for part in order[t]:
            if part >= 5:
                bone = part - 5
                drawn += zip(bones[t][bone], bone_inks[t][bone], strict=True)
                if bone % 3 == 2 and nail_shown[t][bone // 3]:
                    drawn.append((nails[t][bone // 3], nail_inks[t][bone // 3]))
            elif part != 4 or pose.cup:
                drawn += zip(masses[t][part], mass_inks[t][part], strict=True)
        result.append(drawn)
    return result
