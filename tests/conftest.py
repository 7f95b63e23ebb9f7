"""What tests share: a folder for everything made once, a tiny data set, cheap settings, and the
door as a function.
"""

import fcntl
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vidjax import jobs
from vidjax.ops import conv
from vidjax.ops.conv import rule
from vidjax.run import devices

# every kind of randomness and of state; and saves that neither logging nor evaluation falls
# together with
EVERYTHING = {
    "num_steps": 40,
    "log_steps": 5,
    "eval_steps": 8,
    "checkpoint_steps": 3,
    "schedule.name": "constant",  # one program, compiled once, for any length
    "head.dropout": 0.3,
    "optim.ema_decay": 0.9,
    "optim.clip_norm": 1.0,
    "augment.flip": 0.5,
    "augment.brightness": 0.2,
    "augment.rotate": 10.0,
    "augment.translate": 0.1,
    "augment.scale": (0.9, 1.1),
}
ROOT = Path(__file__).parent.parent
# Compiling is most of what the suite does; this compiles four times faster, for slower programs.
# Processes that a test starts inherit it. `XLA_FLAGS= pytest` compiles as users do.
QUICK = "--xla_backend_optimization_level=0"
# Later versions do not know this flag, and end a process that has it.
if devices.jaxlib_version() < (0, 11):
    QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", QUICK)  # read when JAX first looks for devices
DIRECTIONS = {
    "Swiping Left": (-1, 0),
    "Swiping Right": (1, 0),
    "Sinking": (0, 1),
    "Rising": (0, -1),
}
CLIPS = {"train": 24, "validation": 11}  # 11: no batch divides it
NUM_FRAMES, WIDTH, HEIGHT = 6, 28, 20


def pytest_addoption(parser):
    parser.addoption("--lowering", default="auto", help="what networks take for auto")


@pytest.fixture(scope="session", autouse=True)
def forced_lowering(request):
    """`--lowering folded` and so on: what is "auto" elsewhere is that here, also in programs
    started `cheap`.
    """
    wanted, usual = request.config.getoption("--lowering"), conv.conv

    def forced(*arrays, lowering="auto", **settings):
        return usual(
            *arrays, lowering=wanted if lowering in ("auto", "onednn") else lowering, **settings
        )

    with pytest.MonkeyPatch.context() as patch:
        if wanted != "auto":
            patch.setattr(conv, "conv", forced)
        yield wanted


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One folder for all tests, processes and workers of a session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", name="once")
def once_fixture():
    """once(folder, make), for other test files."""
    return once


def once(folder, make):
    """Calls make(folder) unless another worker has; the other workers wait for it. Returns the
    folder.
    """
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = Path(f"{folder}.done")
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache(shared):
    """Where compiled programs and lists are kept."""
    folder = shared / "cache"
    before = os.environ.get("VIDJAX_CACHE")
    os.environ["VIDJAX_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["VIDJAX_CACHE"]
    else:
        os.environ["VIDJAX_CACHE"] = before


@pytest.fixture(autouse=True)
def fresh_log():
    """A job's messages go to the stderr of the test that ran it, and those of the next test to its
    own.
    """
    yield
    logger = logging.getLogger("vidjax")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.propagate = True


def draw_square(path, label, start):
    """A clip of a synthetic white square that moves over grey, in the direction its label says.

    Returns the box of the square in each frame: (top, left, bottom, right), cut at the border.
    """
    path.mkdir(parents=True)
    dx, dy = DIRECTIONS[label]
    boxes = []
    for number in range(NUM_FRAMES):
        image = Image.new("RGB", (WIDTH, HEIGHT), (60, 60, 60))
        x = WIDTH // 2 - 3 + dx * 2 * number + start % 5
        y = HEIGHT // 2 - 3 + dy * 2 * number + start % 3
        ImageDraw.Draw(image).rectangle([x, y, x + 6, y + 6], fill=(230, 230, 230))
        image.save(path / f"{number + 1:05d}.jpg")
        corners = np.array([y, x, y + 7, x + 7])
        boxes.append(np.clip(corners, 0, [HEIGHT, WIDTH] * 2).tolist())
    return boxes


@pytest.fixture(scope="session")
def squares(shared):
    """Root of a synthetic data set in Jester's layout: moving squares, four classes, 24 and 11
    clips of six frames.

    A manifest beside the lists has the boxes and masks of the squares, and two segments a clip.
    """
    return once(shared / "synthetic-squares", draw_squares)


def draw_squares(root):
    root.mkdir()
    names = list(DIRECTIONS)
    (root / "jester-v1-labels.csv").write_text("".join(f"{name}\n" for name in names))
    (root / "masks").mkdir()
    clip = 0
    manifest = []
    for split, count in CLIPS.items():
        rows = []
        for i in range(count):
            clip += 1
            boxes = draw_square(root / "20bn-jester-v1" / str(clip), names[i % 4], clip)
            rows.append(f"{clip};{names[i % 4]}\n")
            masks = np.zeros((NUM_FRAMES, HEIGHT, WIDTH), np.uint8)
            for mask, (top, left, bottom, right) in zip(masks, boxes, strict=True):
                mask[top:bottom, left:right] = 1
            np.savez_compressed(root / f"masks/{clip}.npz", mask=masks)
            manifest.append(manifest_row(clip, split, boxes))
        (root / f"jester-v1-{split}.csv").write_text("".join(rows))
    (root / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in manifest))


def manifest_row(clip, split, boxes):
    """What the manifest says of a clip: its two halves are segments, at 12 frames a second."""
    middle = (2 + clip % 3) / 12
    return {
        "id": str(clip),
        "path": f"20bn-jester-v1/{clip}",
        "split": split,
        "segments": [
            {"start": 0.0, "end": middle, "label": "begin"},
            {"start": middle, "end": NUM_FRAMES / 12, "label": "end"},
        ],
        "boxes": [{"label": "square", "frames": list(range(NUM_FRAMES)), "boxes": boxes}],
        "masks": f"masks/{clip}.npz",
    }


@pytest.fixture(scope="session")
def cheap(squares, forced_lowering):
    """Flags that make any config run on the squares in seconds; add after them what a test is
    about.
    """
    settings = {
        "data.name": "jester",
        "data.root": squares,
        "data.num_frames": 4,
        "data.size": 16,
        "data.resize": 18,
        "data.decode_threads": 1,
        "model.width": 0.05,
        "batch_size": 8,
        "num_steps": 2,
        "log_steps": 1,
        "schedule.warmup_steps": 1,
        "optim.learning_rate": 0.01,
    }
    if forced_lowering in rule.FORMS:
        settings["model.lowering"] = forced_lowering
    return [f"--config.{key}={value}" for key, value in settings.items()]


@pytest.fixture(scope="session")
def tiny(cheap):
    """The cheapest whole command line."""
    return ["--config", str(ROOT / "configs/tiny3d.py"), *cheap]


@pytest.fixture(scope="session")
def dense(cheap, squares):
    """dense(task) -> the command line of the config of that name, on what it needs of the squares.

    The tasks are those whose labels are of frames or places.
    """
    kinds = {"framewise": "segments", "segmentation": "masks", "detection": "boxes"}

    def words(task):
        settings = {
            "data.name": "manifest",
            "data.manifest.labels": kinds[task],
            "data.manifest.class_names": "ground,square",
            "data.manifest.frames_per_second": 12.0,
        }
        flags = [f"--config.{key}={value}" for key, value in settings.items()]
        return ["--config", str(ROOT / f"configs/{task}.py"), *cheap, *flags]

    return words


@pytest.fixture(scope="session")
def everything(tiny):
    """The same with all that makes a run hard to repeat, 40 steps."""
    return [*tiny, *(f"--config.{key}={value}" for key, value in EVERYTHING.items())]


@pytest.fixture(scope="session")
def whole(everything, launch, shared):
    """The folder of a run of `everything` through the door that was left alone, what it said in
    `stderr` beside it.

    Copy it before changing it.
    """

    def make(folder):
        done = launch([*everything, "--workdir", folder / "run"])
        assert done.returncode == 0, done.stderr
        (folder / "stderr").write_text(done.stderr)

    return once(shared / "whole", make) / "run"


@pytest.fixture(scope="session")
def job():
    """job(argv): what launch.py does, in this process; errors come as exceptions."""
    return lambda argv: jobs.run(jobs.parse([str(word) for word in argv]))


@pytest.fixture(scope="session")
def launch():
    """launch(argv, **variables) -> CompletedProcess of `python launch.py`, as a user types it."""

    def run(argv, *, cwd=ROOT, timeout=120, **variables):
        return subprocess.run(
            launch_words(argv),
            cwd=cwd,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def start():
    """start(argv, **variables) -> Popen of `python launch.py`, killed at the end of the test."""
    running = []

    def run(argv, *, cwd=ROOT, stderr=subprocess.PIPE, **variables):
        process = subprocess.Popen(
            launch_words(argv),
            cwd=cwd,
            env={**os.environ, **variables},
            stderr=stderr,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def launch_words(argv):
    return [sys.executable, str(ROOT / "launch.py"), *(str(word) for word in argv)]


@pytest.fixture(scope="session")
def on_devices():
    """Calls a function of a test file in a process with simulated devices; gives what it printed
    last, as JSON.
    """

    def call(file, function, count, *, timeout=120):
        file = Path(file)
        setup = f"import jax; jax.config.update('jax_num_cpu_devices', {count})"
        code = f"{setup}; import {file.stem} as test; test.{function}()"
        path = os.pathsep.join([str(ROOT), str(file.parent)])
        environment = os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
        words = [sys.executable, "-c", code]
        settings = {"capture_output": True, "text": True, "timeout": timeout}
        done = subprocess.run(words, env=environment, **settings)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return call
