"""Writes the set in the layout of Jester's first version: a folder of frames a clip, lists beside them; on all cores.

A clip is a function of the seed, its split and its number: any number of workers writes the same bytes. The clips of
two opposite gestures share their frames, in opposite order, as hard links where the disk has them.
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

from vidjax.gestures.hand import shapes
from vidjax.gestures.motions import MOTIONS
from vidjax.gestures.scene import HEIGHT, ZOOM, draw_frame, draw_scene
from vidjax.gestures.take import draw_take

VERSION = 2  # part of the cache's name: raise it whenever a pixel or a list changes
FOLDER = "20bn-jester-v1"
CLASSES = tuple(label for motion in MOTIONS for label in motion[:2] if label)
WIDTHS, WIDTH_SHARES = (176, 132, 100, 142, 122, 106), (0.72, 0.22, 0.03, 0.01, 0.01, 0.01)
MIN_FRAMES, MAX_FRAMES = 24, 40
QUALITY = 86
README = """This is a synthetic data set: drawn hands, not people. vidjax rendered it; delete it at will.

It has the layout, the labels and the frame sizes of 20BN-Jester version 1, and holds nothing of it.
The clips of two opposite gestures hold the same frames in opposite order.
"""


@dataclass(frozen=True)
class Sequence:
    """One rendered motion: its place in the set, and the clips that show it forwards and, if it has one, backwards."""

    seed: int
    split: int  # 0 train, 1 validation
    motion: int  # row of MOTIONS
    number: int  # within its motion and split
    forward: int  # clip ids
    backward: int | None


def plan(seed: int, counts: tuple[int, int]) -> list[Sequence]:
    """Every sequence of a set with counts[0] training and counts[1] validation clips a class; ids are a permutation."""
    ids = np.random.default_rng([seed, 0]).permutation(sum(counts) * len(CLASSES)) + 1
    ids = iter(ids.tolist())
    return [
        Sequence(seed, split, motion, number, next(ids), next(ids) if backward else None)
        for split, count in enumerate(counts)
        for number in range(count)
        for motion, (_, backward, _) in enumerate(MOTIONS)
    ]


def draw_size(seed: int, split: int, number: int) -> tuple[int, int]:
    """(width, number of frames) of the number-th clip of every class: the same for all, so neither tells the class."""
    rng = np.random.default_rng([seed, 1, split, number])
    width = int(rng.choice(WIDTHS, p=WIDTH_SHARES))
    return width, int(rng.integers(MIN_FRAMES, MAX_FRAMES + 1))


def render(sequence: Sequence) -> list[bytes]:
    """The JPEG files of one sequence, in forward order."""
    width, num_frames = draw_size(sequence.seed, sequence.split, sequence.number)
    key = [sequence.seed, 2, sequence.split, sequence.number, sequence.motion]
    scenery, taking, moving = (np.random.default_rng([*key, stream]) for stream in range(3))
    scene = draw_scene(scenery, width, num_frames)
    poses = MOTIONS[sequence.motion][2](draw_take(taking, num_frames), moving)
    middle = np.array([width, HEIGHT]) / 2
    hands = []
    for pose in poses:
        # the camera's shake moves the background one way and with it the hand
        centre = (pose.centre + middle) * ZOOM - scene.shake
        hands.append(
            (pose.scale, shapes(replace(pose, centre=centre, scale=pose.scale * ZOOM), scene.look))
        )
    frames = []
    for t in range(num_frames):
        behind_first = sorted(hands, key=lambda hand: hand[0][t])
        picture = draw_frame(
            scene, t, [polygon for _, drawn in behind_first for polygon in drawn[t]]
        )
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=QUALITY)
        frames.append(buffer.getvalue())
    return frames


def _link(source, target):
    try:
        os.link(source, target)
    except OSError:  # a disk without hard links
        shutil.copyfile(source, target)


def write_sequence(root: str, sequence: Sequence) -> None:
    """Writes the one or two clips of a sequence under root."""
    frames = render(sequence)
    paths = []
    folder = os.path.join(root, FOLDER, str(sequence.forward))
    os.makedirs(folder)
    for number, frame in enumerate(frames, 1):
        paths.append(os.path.join(folder, f"{number:05d}.jpg"))
        with open(paths[-1], "wb") as file:
            file.write(frame)
    if sequence.backward is not None:
        folder = os.path.join(root, FOLDER, str(sequence.backward))
        os.makedirs(folder)
        for number, path in enumerate(reversed(paths), 1):
            _link(path, os.path.join(folder, f"{number:05d}.jpg"))


def _write_chunk(root, sequences):
    for sequence in sequences:
        write_sequence(root, sequence)
    return len(sequences)


def _start_worker():
    """The parent alone answers Ctrl-C; a worker ends with its parent, even one that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


class _Progress:
    """One rewritten line on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, total):
        self.total, self.done, self.begun = total, 0, time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.next = self.begun + (0 if self.terminal else 10)

    def add(self, count):
        self.done += count
        now = time.monotonic()
        last = self.done == self.total
        if now < self.next and not last:
            return
        self.next = now + (0.2 if self.terminal else 10)
        left = (now - self.begun) / self.done * (self.total - self.done)
        bar = "#" * (20 * self.done // self.total)
        text = f"synthetic gestures: rendering {self.done}/{self.total} sequences"
        text += f", {now - self.begun:.0f} s" if last else f", about {left:.0f} s left"
        if self.terminal:
            print(
                f"\r[{bar:20}] {text}\033[K", end="\n" if last else "", file=sys.stderr, flush=True
            )
        else:
            print(text, file=sys.stderr, flush=True)


def _write_lists(root, sequences):
    with open(os.path.join(root, "jester-v1-labels.csv"), "w", encoding="utf-8") as file:
        file.writelines(f"{label}\n" for label in CLASSES)
    for split, name in enumerate(("train", "validation")):
        rows = []
        for s in sequences:
            if s.split == split:
                forward, backward, _ = MOTIONS[s.motion]
                rows.append((s.forward, forward))
                if s.backward is not None:
                    rows.append((s.backward, backward))
        with open(os.path.join(root, f"jester-v1-{name}.csv"), "w", encoding="utf-8") as file:
            file.writelines(f"{clip};{label}\n" for clip, label in sorted(rows))
    with open(os.path.join(root, "README.txt"), "w", encoding="utf-8") as file:
        file.write(README)


def write(root: str, seed: int, counts: tuple[int, int], workers: int = 0) -> None:
    """Writes a whole set into the empty folder root; workers 0 takes every core this process may use."""
    sequences = plan(seed, counts)
    workers = workers or (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    progress = _Progress(len(sequences))
    os.makedirs(os.path.join(root, FOLDER))
    try:
        if workers > 1:
            _write_parallel(root, sequences, workers, progress)
    except (
        BrokenProcessPool
    ):  # a script without a __main__ guard, or read from standard input: spawn cannot import it
        print(
            "synthetic gestures: worker processes do not start here, rendering on one core",
            file=sys.stderr,
        )
        shutil.rmtree(os.path.join(root, FOLDER))
        progress, workers = _Progress(len(sequences)), 1
    if workers == 1:
        for sequence in sequences:
            write_sequence(root, sequence)
            progress.add(1)
    _write_lists(root, sequences)


def _write_parallel(root, sequences, workers, progress):
    # spawn, not fork: the parent may hold TensorFlow's or JAX's threads
    context = multiprocessing.get_context("spawn")
    size = max(1, min(8, len(sequences) // workers))
    chunks = [sequences[k : k + size] for k in range(0, len(sequences), size)]
    with ProcessPoolExecutor(min(workers, len(chunks)), context, _start_worker) as pool:
        waiting = [pool.submit(_write_chunk, root, chunk) for chunk in chunks]
        try:
            for future in as_completed(waiting):
                progress.add(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
