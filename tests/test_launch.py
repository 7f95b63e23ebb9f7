"""The door: `python launch.py` as a user types it, from the first run on the built-in set to all
kinds of wrong use.
"""

import json
import os
import pkgutil
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import presets
from vidjax import jobs, models
from vidjax.experiment.assembly import build
from vidjax.experiment.programs import Programs
from vidjax.run import devices

ROOT = Path(__file__).parents[1]
TINY3D = str(ROOT / "configs/tiny3d.py")
CONFIGS = sorted(str(path) for path in (ROOT / "configs").glob("*.py") if path.name != "base.py")
PRESETS = sorted(module.name for module in pkgutil.iter_modules(presets.__path__))
ARGUMENTS = [f"{path}:{preset}" for path in CONFIGS for preset in PRESETS]


def name_of(argument):
    return Path(argument).name.replace(".py", "")


@pytest.fixture
def door(capsys):
    """door(argv) -> (exit code, stderr) of launch.py in this process."""

    def run(argv):
        code = jobs.main([str(word) for word in argv])
        return code, capsys.readouterr().err

    return run


def assert_refused(code, stderr, *parts):
    lines = stderr.splitlines()
    assert code == 2 and 1 <= len(lines) <= 5 and lines[0].startswith("error: "), stderr
    assert "Traceback" not in stderr and all(part in stderr for part in parts), stderr


# --- the first run of a newcomer


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """(folder, terminal) of r2p1d, made small, on the built-in set: on a terminal, from another
    folder, without git.
    """
    here = tmp_path_factory.mktemp("newcomer")
    (here / "mine.py").write_text((ROOT / "configs/r2p1d.py").read_text())
    small = {
        "model.width": 0.05,
        "data.num_frames": 4,
        "data.size": 16,
        "data.resize": 18,
        "batch_size": 9,
    }
    small |= {
        "data.gestures.train_clips": 1,
        "data.gestures.validation_clips": 1,
        "num_steps": 3,
        "log_steps": 1,
    }
    words = [sys.executable, str(ROOT / "launch.py"), "--config", "mine.py"]
    words += [f"--config.{key}={value}" for key, value in small.items()]
    # the program is compiled quickly here and not well
    variables = {**os.environ, "PATH": str(here), "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    above, below = pty.openpty()
    process = subprocess.Popen(
        words, cwd=here, env=variables, stdout=below, stderr=below, stdin=subprocess.DEVNULL
    )
    os.close(below)
    began, seconds, text = time.monotonic(), None, b""
    while True:
        try:
            piece = os.read(above, 1 << 16)
        except OSError:  # how Linux says that nobody is left at the other end
            break
        if not piece:
            break
        seconds = seconds or time.monotonic() - began
        text += piece
    os.close(above)
    assert process.wait() == 0, text.decode()
    return here, text.decode().replace("\r\n", "\n"), seconds


def test_a_terminal_gets_one_line_that_is_rewritten(first):
    _, text, _ = first
    line = [part for part in text.split("\r\x1b[K") if part.startswith("step ")]
    whole = r"step 3/3  loss \d\.\d+  top-1 [\d.]+ %  \d+ clips/s  waiting \d+ %  ETA 0:00  \(synthetic\)\n"
    assert any(re.match(whole, x) for x in line)
    assert all("\n" not in x for x in line if not x.startswith("step 3/3"))
    assert any("evaluating 27 clips" in x for x in line)


def test_something_is_said_soon_and_before_the_compiler_works(first):
    _, text, seconds = first
    assert seconds < 20  # the import of JAX, on cores that others use too
    assert text.index("compiling") < text.index("compiled in") < text.index("step 1/3")


def test_everything_about_the_built_in_set_says_synthetic(first):
    here, text, _ = first
    run = here / "runs/mine"
    assert "synthetic" in text.partition("\n")[0]
    assert all("(synthetic)" in line for line in text.split("\n") if "validation at step" in line)
    env = json.loads((run / "env.json").read_text())
    assert (
        env["data"]["synthetic"] is True
        and "synthetic" in env["data"]["about"]
        and env["commit"] == ""
    )
    for file in ("run.log", "report.html"):
        assert "synthetic" in (run / file).read_text()


def test_nobody_else_talks(first, whole):
    """Neither TensorFlow nor absl, Orbax, XLA or a warning."""
    ours = (
        r"Clips in Jester's layout from the folder synthetic-squares, 4 classes\.",
        r"tiny3d tiny3d, [\d,]+ parameters, 40 steps of 8 clips on 1 x cpu \(\d+ cores\)",
        r"compiling the training step: .*",
        r"compiled in \d+ s",
        r"validation at step \d+: top-1 .* %, top-5 .* %, mean of classes .* %, loss .*, 11 clips",
        r"step \d+/40  .*ETA \d+:\d\d",
        r"report: .*report\.html",
    )
    lines = (whole.parent / "stderr").read_text().splitlines()
    assert not [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in ours)]
    assert "oneDNN" not in first[1] and "WARNING" not in first[1]


def test_messages_are_in_the_log_of_the_folder(whole):
    log = (whole / "run.log").read_text()
    for line in (whole.parent / "stderr").read_text().splitlines():
        assert line in log or line.startswith("step ")


# --- help


def test_help_names_jobs_flags_and_examples(launch):
    done = launch(["--help"])
    assert done.returncode == 0 and not done.stderr
    for word in (
        "train",
        "evaluate",
        "--workdir",
        "--config.batch_size=32",
        "configs/r2p1d.py",
    ):
        assert word in done.stdout


# --- wrong use


@pytest.mark.parametrize(
    "words, parts",
    [
        ([], ["--config configs/r2p1d.py"]),
        (
            ["--config", TINY3D, "--config.optim.learning_rat=1"],
            ["Did you mean --config.optim.learning_rate?"],
        ),
        (["--config", TINY3D + ":jestr"], ["jester"]),
        (["--config", TINY3D, "--job", "evalute"], ["Did you mean 'evaluate'?"]),
        (["--config", TINY3D, "--config.batch_size=x"], ["batch_size"]),
        (["--config", TINY3D, "--workdr=x"], ["--workdr"]),
    ],
)
def test_what_the_command_line_can_tell_is_told_at_once(words, parts, launch):
    began = time.monotonic()
    done = launch(words)
    assert time.monotonic() - began < 3
    assert_refused(done.returncode, done.stderr, *parts)


def test_a_typo_is_told_before_anything_heavy_is_imported():
    code = (
        "import sys; sys.argv = ['launch.py', '--config', sys.argv[1], '--config.sede=1']\n"
        "import runpy\n"
        "try: runpy.run_path('launch.py', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, [m for m in ('jax', 'tensorflow', 'flax') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, TINY3D], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "2 []" and "Did you mean --config.seed?" in done.stderr


def test_a_misspelt_key_in_a_file_is_told_with_file_line_and_name(launch, tmp_path):
    text = (ROOT / "configs/slowfast.py").read_text()
    (tmp_path / "mine.py").write_text(
        text.replace("config.data.num_frames = 32", "config.data.num_frame = 32")
    )
    number = 1 + text[: text.index("config.data.num_frames = 32")].count("\n")
    done = launch(["--config", "mine.py"], cwd=tmp_path)
    assert_refused(
        done.returncode, done.stderr, f"mine.py, line {number}", "'num_frame'", "'num_frames'"
    )
    assert not (tmp_path / "runs").exists()


def test_a_batch_that_the_devices_do_not_divide(launch, tiny, tmp_path):
    flags = "--xla_force_host_platform_device_count=4"
    done = launch([*tiny, "--config.batch_size=10", "--workdir", tmp_path / "run"], XLA_FLAGS=flags)
    assert_refused(
        done.returncode, done.stderr, "batch_size=10", "4 devices", "--config.batch_size=8"
    )


def test_a_missing_root(launch, tmp_path):
    words = [
        "--config",
        TINY3D + ":jester",
        f"--config.data.root={tmp_path / 'nowhere'}",
        "--workdir",
        tmp_path / "run",
    ]
    done = launch(words)
    assert_refused(done.returncode, done.stderr, str(tmp_path / "nowhere"), "Jester")
    assert not (tmp_path / "run").exists()


WRONG = {
    "model.name=tiny3": ["'tiny3'", "Did you mean 'tiny3d'?"],
    "model.name=zzz": ["'zzz'", "resnet3d"],
    "model.variant=tiny": ["'tiny'", "Did you mean 'tiny3d'?"],
    "head.name=avrage": ["'avrage'", "Did you mean 'average'?"],
    "task.name=clasification": ["'clasification'", "Did you mean 'classification'?"],
    "precision=float16": ["'float16'", "bfloat16"],
    "optim.name=adamv": ["'adamv'", "adamw"],
    "schedule.name=cosin": ["'cosin'", "cosine"],
    "loss.name=crossentropy": ["'crossentropy'", "cross_entropy"],
    "data.name=jestr": ["'jestr'", "jester"],
    "data.sampling=segment": ["'segment'", "segments"],
    "data.crop=center": ["'center'", "centre"],
    "data.mean=(0.5,)": ["data.mean", "3 numbers"],
    "data.crop_area=(0.5,)": ["data.crop_area", "2 numbers"],
    "data.resize=5": ["data.resize", "16"],
    "data.root=": ["data.root is empty"],
    "augment.flip=2": ["augment.flip"],
    "optim.weight_decay=-1": ["weight_decay"],
    "batch_size=0": ["batch_size is 0"],
    "log_steps=0": ["log_steps is 0"],
    "num_steps=-1": ["num_steps is -1"],
}


@pytest.mark.parametrize("word", WRONG)
def test_a_wrong_value_is_told_with_the_nearest_right_one(word, tiny, door, tmp_path):
    code, stderr = door([*tiny, f"--config.{word}", "--workdir", tmp_path / "run"])
    assert_refused(code, stderr, *WRONG[word])
    assert not (tmp_path / "run").exists()


def test_a_root_without_lists(tiny, door, tmp_path):
    (tmp_path / "empty").mkdir()
    code, stderr = door(
        [*tiny, f"--config.data.root={tmp_path / 'empty'}", "--workdir", tmp_path / "run"]
    )
    assert_refused(code, stderr, "no lists", "train.csv", "Jester")


def test_evaluate_without_a_run(tiny, door, tmp_path):
    code, stderr = door([*tiny, "--job", "evaluate", "--workdir", tmp_path / "run"])
    assert_refused(code, stderr, "no run to evaluate", str(tmp_path / "run"))
    code, stderr = door(["--job", "evaluate", "--workdir", tmp_path / "run"])
    assert_refused(code, stderr, "no run to evaluate")


def test_train_without_a_config(door, tmp_path):
    code, stderr = door(["--workdir", tmp_path / "run"])
    assert_refused(code, stderr, "train needs a config")


def test_trace_shows_the_stack_and_keeps_the_code(door):
    code, stderr = door(["--config", TINY3D, "--config.sede=1", "--trace"])
    assert code == 2 and "Traceback" in stderr and stderr.splitlines()[-2].startswith("error: ")


# --- every config


@pytest.mark.parametrize("argument", [a for a in ARGUMENTS if a.endswith(":jester")], ids=name_of)
def test_every_config_has_a_training_step_of_its_full_size(argument, squares):
    """Traced, not computed: shapes, optimiser, schedule, augmentation and loss of each preset fit
    together.
    """
    words = ["--config", argument, "--config.data.name=jester", f"--config.data.root={squares}"]
    words.append("--config.model.lowering=native")  # the least to trace
    experiment = build(jobs.parse(words).config)
    programs = Programs(experiment, devices.make_mesh())
    tx = experiment.optimiser(experiment.schedule(num_steps=1000))
    count = experiment.config.batch_size * programs.mesh.devices.size
    label = experiment.task.label
    arrays = {
        "video": (experiment.video_shape[1:], "uint8"),
        "label": (label.shape, label.dtype),
        "mask": ((), "float32"),
        "draw": ((), "uint32"),
    }
    batch = {
        name: jax.ShapeDtypeStruct((count, *shape), dtype)
        for name, (shape, dtype) in arrays.items()
    }
    shapes = programs.checkpoint_shapes(tx)
    after = jax.eval_shape(programs.train_step(tx), shapes["state"], shapes["window"], batch)
    before = shapes["state"], shapes["window"]
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), before
    )


@pytest.mark.slow
@pytest.mark.parametrize("argument", ARGUMENTS, ids=name_of)
def test_every_config_trains_two_steps(argument, cheap, launch, tmp_path):
    words = ["--config", argument, *cheap]
    name = jobs.parse([str(word) for word in words]).config.model.name
    if least := getattr(models.family(name), "MIN_CLIP", None):  # `cheap` clips are smaller
        frames, *_, size = least
        clips = {"num_frames": frames, "size": size, "resize": size + 2}
        words += [f"--config.data.{field}={value}" for field, value in clips.items()]
    done = launch([*words, "--workdir", tmp_path / "run"], timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "train/loss" in row] == [1, 2]
    assert all(np.isfinite(row["train/loss"]) for row in rows if "train/loss" in row)
