"""Writes the set in the layout of Jester's first version, on all cores.

A clip is a folder of frames; the lists lie beside the folder of all clips. A clip is a function of
the seed, its split and its number, so any number of workers writes the same bytes. The clips of two
opposite gestures share their frames in opposite order, as hard links where the disk has them.
"""

import functools
import os
import shutil
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np

from vidjax.gestures import workers
from vidjax.gestures.hand import Polygon, Pose, shapes
from vidjax.gestures.motions import MOTIONS
from vidjax.gestures.scene import HEIGHT, ZOOM, Scene, draw_frame, draw_scene
from vidjax.gestures.take import draw_take

VERSION = 2  # part of the cache's name: raise it whenever a pixel or a list changes
FOLDER = "20bn-jester-v1"
CLASSES = tuple(label for motion in MOTIONS for label in motion[:2] if label)
# Widths of Jester's frames in pixels, and the share of clips of each width.
WIDTHS = (176, 132, 100, 142, 122, 106)
WIDTH_SHARES = (0.72, 0.22, 0.03, 0.01, 0.01, 0.01)
MIN_FRAMES, MAX_FRAMES = 24, 40
QUALITY = 86  # of the JPEG files
README = """\
This is a synthetic data set: drawn hands, not people. vidjax rendered it; delete it at will.

It has the layout, the labels and the frame sizes of 20BN-Jester version 1, and holds nothing of it.
The clips of two opposite gestures hold the same frames in opposite order.
"""


@dataclass(frozen=True)
class Sequence:
    """One rendered motion: its place in the set, and the clips that show it.

    Args:
        seed: of the set.
        split: 0 for training, 1 for validation.
        motion: the row of MOTIONS.
        number: which clip of its motion and split it is, from 0.
        forward: the id of the clip that shows it forwards.
        backward: the id of the clip that shows it backwards; None where that is no gesture.
    """

    seed: int
    split: int
    motion: int
    number: int
    forward: int
    backward: int | None


def plan(seed: int, counts: tuple[int, int]) -> list[Sequence]:
    """Every sequence of a set with counts[0] training and counts[1] validation clips a class.

    The ids of the clips are a random permutation of 1 .. N, so that they do not tell the class.
    """
    ids = np.random.default_rng([seed, 0]).permutation(sum(counts) * len(CLASSES)) + 1
    ids = iter(ids.tolist())
    sequences = []
    for split, count in enumerate(counts):
        for number in range(count):
            for motion, (_, backward_label, _) in enumerate(MOTIONS):
                forward = next(ids)
                backward = None
                if backward_label:
                    backward = next(ids)
                sequences.append(Sequence(seed, split, motion, number, forward, backward))
    return sequences


def draw_size(seed: int, split: int, number: int) -> tuple[int, int]:
    """(width, number of frames) of the number-th clip of every class.

    They are the same for all classes, so neither tells the class.
    """
    rng = np.random.default_rng([seed, 1, split, number])
    width = int(rng.choice(WIDTHS, p=WIDTH_SHARES))
    return width, int(rng.integers(MIN_FRAMES, MAX_FRAMES + 1))


@dataclass(frozen=True)
class Stage:
    """All that is drawn at random for one sequence.

    Args:
        scene: all but the hands.
        poses: of each hand; none where nobody's hand is seen.
    """

    scene: Scene
    poses: list[Pose]

    def polygons(self, *, silhouette: bool = False) -> list[list[Polygon]]:
        """For each of T frames, the polygons of all hands in pixels of the drawing, back to front.

        With `silhouette`, the inks are those of a picture that shows where each hand is: 1 for the
        first hand, 2 for the second, 0 for all else.
        """
        polygons_of_hands = []
        for number, pose in enumerate(self.poses, 1):
            ink = number if silhouette else None
            polygons_of_hands.append(shapes(self._in_drawing(pose), self.scene.look, ink=ink))
        frames = []
        for t in range(len(self.scene.shake)):
            # The hand that is nearer to the viewer is larger, and is drawn over the other.
            order = sorted(range(len(self.poses)), key=lambda hand: self.poses[hand].scale[t])
            polygons = []
            for hand in order:
                polygons += polygons_of_hands[hand][t]
            frames.append(polygons)
        return frames

    def _in_drawing(self, pose: Pose) -> Pose:
        """A pose in pixels of the drawing."""
        middle = np.array([self.scene.width, HEIGHT]) / 2
        # The camera's shake moves background and hand together.
        centre = (pose.centre + middle) * ZOOM - self.scene.shake
        return replace(pose, centre=centre, scale=pose.scale * ZOOM)


def draw_stage(sequence: Sequence) -> Stage:
    """Draws the scene and the poses of a sequence."""
    width, num_frames = draw_size(sequence.seed, sequence.split, sequence.number)
    scene_rng, take_rng, motion_rng = generators(sequence)
    _, _, motion = MOTIONS[sequence.motion]
    return Stage(
        scene=draw_scene(scene_rng, width, num_frames),
        poses=motion(draw_take(take_rng, num_frames), motion_rng),
    )


def generators(sequence: Sequence) -> list[np.random.Generator]:
    """The random numbers of a sequence: for its scene, its take and its motion."""
    # The ids are not in the key: they name the clips and draw nothing.
    key = [sequence.seed, 2, sequence.split, sequence.number, sequence.motion]
    return [np.random.default_rng([*key, stream]) for stream in range(3)]


def render(sequence: Sequence) -> list[bytes]:
    """The JPEG files of one sequence, in forward order."""
    stage = draw_stage(sequence)
    frames = []
    for t, polygons in enumerate(stage.polygons()):
        buffer = BytesIO()
        draw_frame(stage.scene, t, polygons).save(buffer, "JPEG", quality=QUALITY)
        frames.append(buffer.getvalue())
    return frames


def write_sequence(root: str, sequence: Sequence) -> None:
    """Writes the one or two clips of a sequence under root."""
    folder = _new_folder(root, sequence.forward)
    paths = []
    for number, frame in enumerate(render(sequence), 1):
        path = os.path.join(folder, f"{number:05d}.jpg")
        with open(path, "wb") as file:
            file.write(frame)
        paths.append(path)
    if sequence.backward is not None:
        folder = _new_folder(root, sequence.backward)
        for number, path in enumerate(reversed(paths), 1):
            _link(path, os.path.join(folder, f"{number:05d}.jpg"))


def _new_folder(root: str, clip: int) -> str:
    """Makes the empty folder of a clip; a worker that died may have left a part of it."""
    folder = os.path.join(root, FOLDER, str(clip))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # The disk has no hard links.
        shutil.copyfile(source, target)


def write(root: str, *, seed: int, counts: tuple[int, int], num_workers: int = 0) -> None:
    """Writes a whole set into the empty folder root.

    Args:
        root: where the set goes.
        seed: of everything that is drawn at random.
        counts: training and validation clips of each class.
        num_workers: processes; 0 for one on each core that this process may use.
    """
    sequences = plan(seed, counts)
    work = functools.partial(write_sequence, root)
    workers.run(work, sequences, num_workers=num_workers, what="sequences")
    _write_lists(root, sequences)


def _write_lists(root: str, sequences: list[Sequence]) -> None:
    """Writes labels, a list for each split, and a README, once all clips are written."""
    labels = [f"{label}\n" for label in CLASSES]
    _write_text(root, "jester-v1-labels.csv", "".join(labels))
    for split, name in enumerate(("train", "validation")):
        rows = []
        for sequence in sequences:
            if sequence.split != split:
                continue
            forward_label, backward_label, _ = MOTIONS[sequence.motion]
            rows.append((sequence.forward, forward_label))
            if sequence.backward is not None:
                rows.append((sequence.backward, backward_label))
        lines = [f"{clip};{label}\n" for clip, label in sorted(rows)]
        _write_text(root, f"jester-v1-{name}.csv", "".join(lines))
    _write_text(root, "README.txt", README)


def _write_text(root: str, name: str, text: str) -> None:
    with open(os.path.join(root, name), "w", encoding="utf-8") as file:
        file.write(text)
