"""The door: `python launch.py` as a user types it, from the first run on the built-in set to all
kinds of wrong use.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidjax import jobs

ROOT = Path(__file__).parents[1]
TINY3D = str(ROOT / "configs/tiny3d.py")


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
    ],
)
def test_what_the_command_line_can_tell_is_told_at_once(words, parts, launch):
    began = time.monotonic()
    done = launch(words)
    assert time.monotonic() - began < 3
    assert_refused(done.returncode, done.stderr, *parts)


def test_a_misspelt_flag_is_told_before_any_work(launch, tmp_path):
    """Which flags there are, the job says, so it is imported first; no folder is made."""
    done = launch(["--config", TINY3D, "--workdr=x"], cwd=tmp_path)
    assert_refused(done.returncode, done.stderr, "--workdr")
    assert list(tmp_path.iterdir()) == []


def test_a_typo_is_told_before_anything_heavy_is_imported():
    code = (
        "import sys; sys.argv = ['launch.py', '--config', sys.argv[1], '--config.sede=1']\n"
        "import runpy\n"
        "try: runpy.run_path('launch.py', run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "print(code, [m for m in ('jax', 'tensorflow', 'flax') if m in sys.modules])"
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


def test_a_misspelt_flag_of_no_config(door):
    code, stderr = door(["--config", TINY3D, "--wrokdir", "runs/x"])
    assert_refused(code, stderr, "--wrokdir runs/x", "Did you mean '--workdir'?")


def test_train_without_a_config(door, tmp_path):
    code, stderr = door(["--workdir", tmp_path / "run"])
    assert_refused(code, stderr, "train needs a config")


def test_ctrl_c_while_jax_is_imported_is_one_word(tmp_path):
    """An extension module that is interrupted makes an ImportError of it, with a long stack."""
    words = [sys.executable, ROOT / "launch.py", "--config", TINY3D, "--workdir", tmp_path / "run"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and "jaxlib" not in maps.read_text():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
    assert process.returncode == 130 and stderr == "interrupted\n"
    assert not (tmp_path / "run").exists()


def test_trace_shows_the_stack_and_keeps_the_code(door):
    code, stderr = door(["--config", TINY3D, "--config.sede=1", "--trace"])
    assert code == 2 and "Traceback" in stderr and stderr.splitlines()[-2].startswith("error: ")
