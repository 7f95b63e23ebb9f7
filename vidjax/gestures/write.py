"""Writes the set in the layout of Jester's first version, on all cores.

A clip is a folder of frames; the lists lie beside the folder of all clips. A clip is a function of
the seed, its split and its number, so any number of workers writes the same bytes. The clips of two
opposite gestures share their frames in opposite order, as hard links where the disk has them.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np

from vidjax.core.machine import num_cores
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
CHUNK = 8  # sequences that a worker takes at a time, at most
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


def render(sequence: Sequence) -> list[bytes]:
    """The JPEG files of one sequence, in forward order."""
    width, num_frames = draw_size(sequence.seed, sequence.split, sequence.number)
    # The ids are not in the key: they name the clips and draw nothing.
    key = [sequence.seed, 2, sequence.split, sequence.number, sequence.motion]
    scene_rng, take_rng, motion_rng = (np.random.default_rng([*key, stream]) for stream in range(3))
    scene = draw_scene(scene_rng, width, num_frames)
    _, _, motion = MOTIONS[sequence.motion]
    poses = motion(draw_take(take_rng, num_frames), motion_rng)
    polygons = [_polygons(pose, scene) for pose in poses]
    frames = []
    for t in range(num_frames):
        # The hand that is nearer to the viewer is larger, and is drawn over the other.
        farthest_first = sorted(range(len(poses)), key=lambda hand: poses[hand].scale[t])
        polygons_of_frame = []
        for hand in farthest_first:
            polygons_of_frame += polygons[hand][t]
        buffer = BytesIO()
        draw_frame(scene, t, polygons_of_frame).save(buffer, "JPEG", quality=QUALITY)
        frames.append(buffer.getvalue())
    return frames


def _polygons(pose: Pose, scene: Scene) -> list[list[Polygon]]:
    """The polygons of a hand in each of T frames, in pixels of the drawing."""
    middle = np.array([scene.width, HEIGHT]) / 2
    # The camera's shake moves background and hand together.
    centre = (pose.centre + middle) * ZOOM - scene.shake
    return shapes(replace(pose, centre=centre, scale=pose.scale * ZOOM), scene.look)


def write_sequence(root: str, sequence: Sequence) -> None:
    """Writes the one or two clips of a sequence under root."""
    folder = os.path.join(root, FOLDER, str(sequence.forward))
    os.makedirs(folder)
    paths = []
    for number, frame in enumerate(render(sequence), 1):
        path = os.path.join(folder, f"{number:05d}.jpg")
        with open(path, "wb") as file:
            file.write(frame)
        paths.append(path)
    if sequence.backward is not None:
        folder = os.path.join(root, FOLDER, str(sequence.backward))
        os.makedirs(folder)
        for number, path in enumerate(reversed(paths), 1):
            _link(path, os.path.join(folder, f"{number:05d}.jpg"))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # The disk has no hard links.
        shutil.copyfile(source, target)


def write(root: str, *, seed: int, counts: tuple[int, int], workers: int = 0) -> None:
    """Writes a whole set into the empty folder root.

    Args:
        root: where the set goes.
        seed: of everything that is drawn at random.
        counts: training and validation clips of each class.
        workers: processes; 0 for one on each core that this process may use.
    """
    sequences = plan(seed, counts)
    workers = workers or num_cores()
    os.makedirs(os.path.join(root, FOLDER))
    if workers > 1:
        try:
            _write_parallel(root, sequences, workers)
        except BrokenProcessPool:
            # A new process imports the main script. It cannot where the script has no __main__
            # guard or is read from standard input.
            print(
                "synthetic gestures: worker processes do not start here, rendering on one core",
                file=sys.stderr,
            )
            shutil.rmtree(os.path.join(root, FOLDER))
            workers = 1
    if workers == 1:
        progress = _Progress(len(sequences))
        for sequence in sequences:
            write_sequence(root, sequence)
            progress.add(1)
    _write_lists(root, sequences)


def _write_parallel(root: str, sequences: list[Sequence], workers: int) -> None:
    """Writes the clips of all sequences in worker processes."""
    progress = _Progress(len(sequences))
    # Spawn, not fork: this process may hold threads of TensorFlow or JAX.
    context = multiprocessing.get_context("spawn")
    size = max(1, min(CHUNK, len(sequences) // workers))
    chunks = [sequences[k : k + size] for k in range(0, len(sequences), size)]
    with ProcessPoolExecutor(min(workers, len(chunks)), context, _start_worker) as pool:
        futures = [pool.submit(_write_chunk, root, chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                progress.add(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_chunk(root: str, sequences: list[Sequence]) -> int:
    """Runs in a worker; returns how many sequences it has written."""
    for sequence in sequences:
        write_sequence(root, sequence)
    return len(sequences)


def _start_worker() -> None:
    """The parent alone answers Ctrl-C; a worker ends with its parent, even one that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


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


class _Progress:
    """One line that is rewritten on a terminal; elsewhere, a line every ten seconds."""

    def __init__(self, total: int):
        self.total = total
        self.done = 0
        self.begun = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.interval = 0.2 if self.terminal else 10  # seconds
        self.next = self.begun
        if not self.terminal:
            self.next += self.interval

    def add(self, count: int) -> None:
        """Counts sequences as written, and says so if it is time."""
        self.done += count
        now = time.monotonic()
        last = self.done == self.total
        if now < self.next and not last:
            return
        self.next = now + self.interval
        text = f"synthetic gestures: drawing {self.done}/{self.total} sequences"
        if last:
            text += f", {now - self.begun:.0f} s"
        else:
            left = (now - self.begun) / self.done * (self.total - self.done)
            text += f", about {left:.0f} s left"
        if not self.terminal:
            print(text, file=sys.stderr, flush=True)
            return
        bar = "#" * (20 * self.done // self.total)
        end = "\n" if last else ""
        print(f"\r[{bar:20}] {text}\033[K", end=end, file=sys.stderr, flush=True)
