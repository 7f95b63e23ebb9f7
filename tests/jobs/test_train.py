"""A run that is killed, stopped, damaged, extended or started twice, against one that was left
alone.
"""

import json
import os
import random
import re
import shutil
import signal
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest

from vidjax import jobs
from vidjax.core.errors import DataError, NonFiniteLoss, Preempted, StorageError, UserError
from vidjax.experiment import build
from vidjax.experiment import evaluation as evaluations
from vidjax.experiment.data import load_split

TIMING = ("train/clips_per_second", "train/data_wait")


def flags(**settings):
    return [f"--config.{key}={value}" for key, value in settings.items()]


def rows(run):
    """metrics.jsonl without what the clock says."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMING} for line in lines]


def steps_saved(run):
    return sorted(int(path.stem) for path in run.glob("checkpoints/*.json"))


def arrays(run, step=None):
    """Name -> array of everything in a checkpoint, the last one unless named."""
    step = steps_saved(run)[-1] if step is None else step
    tree = ocp.StandardCheckpointer().restore(run.absolute() / "checkpoints" / f"{step:08d}")
    flat = {}

    def walk(node, name):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(value, dict | list | tuple):
                walk(value, f"{name}/{key}")
            elif value is not None:  # an empty node
                flat[f"{name}/{key}"] = np.asarray(value)

    walk(tree, "")
    return flat


def assert_same_run(run, other):
    """Everything a run leaves but times: parameters, optimiser, statistics, averages, sums, clips,
    metrics, scores.
    """
    one, two = arrays(run), arrays(other)
    assert one.keys() == two.keys()
    assert any("opt_state" in name for name in one) and any("batch_stats" in name for name in one)
    for name, value in one.items():
        assert value.dtype == two[name].dtype and value.tobytes() == two[name].tobytes(), name
    assert (run / "clips.log").read_bytes() == (other / "clips.log").read_bytes()
    assert rows(run) == rows(other)
    assert steps_saved(run) == steps_saved(other)
    assert scores(run) == scores(other)
    assert evaluation(run) == evaluation(other)


def scores(run):
    return [
        json.loads(path.read_text())["score"] for path in sorted(run.glob("checkpoints/*.json"))
    ]


def evaluation(run):
    return json.loads((run / "evaluation/validation.json").read_text())


def check_events(run):
    """TensorBoard shows each step of metrics.jsonl once, with its value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(run / "events")).Reload()
    for name in ("train/loss", "train/learning_rate", "val/top1"):
        wanted = [(row["step"], row[name]) for row in rows(run) if name in row]
        found = [(e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(name)]
        assert [step for step, _ in found] == [step for step, _ in wanted]
        np.testing.assert_allclose([v for _, v in found], [v for _, v in wanted], rtol=1e-6)


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of that run, to be broken."""
    return shutil.copytree(whole, tmp_path / "copy")


def cut_back(run, step):
    """Makes a copy what it was when the checkpoint of `step` had been written: resuming it does
    real steps.
    """
    for later in steps_saved(run):
        if later > step:
            (run / f"checkpoints/{later:08d}.json").unlink()
            shutil.rmtree(run / f"checkpoints/{later:08d}")


def wait_for(process, run, least):
    """Returns when a checkpoint of step `least` or a later one counts."""
    while not steps_saved(run) or steps_saved(run)[-1] < least:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([(11, 17)], id="once"),
        pytest.param([(3, 8), (11, 17), (20, 25)], id="three times", marks=pytest.mark.slow),
    ],
)
def test_killed_and_then_stopped_it_ends_with_the_same_bits(
    kills, everything, whole, start, tmp_path
):
    run, chance = tmp_path / "run", random.Random(0)
    for first, last in kills:
        process = start([*everything, "--workdir", run])
        wait_for(process, run, chance.randint(first, last))
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        assert process.wait() == -signal.SIGKILL and steps_saved(run)[-1] < 40
    process = start([*everything, "--workdir", run])
    wait_for(process, run, chance.randint(28, 33))
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    error = process.communicate()[1].splitlines()[-1]
    assert process.returncode == 143 and time.monotonic() - began < 10
    assert (
        f"saved at step {steps_saved(run)[-1]}; the same command goes on" in error
        and steps_saved(run)[-1] < 40
    )
    process = start(["--workdir", run])  # the folder knows the config
    assert process.wait() == 0, process.communicate()[1]
    assert_same_run(run, whole)
    check_events(run)


def test_a_run_leaves_what_the_contract_says(whole, everything):
    assert [
        int(line.split()[0]) for line in (whole / "clips.log").read_text().splitlines()
    ] == list(range(1, 41))
    config = json.loads((whole / "config.json").read_text())
    assert config["optim"]["ema_decay"] == 0.9 and config["model"]["variant"] == "tiny3d"
    env = json.loads((whole / "env.json").read_text())
    assert (
        env["command"].startswith("python launch.py --config ")
        and "--config.log_steps=5" in env["command"]
    )
    assert (
        env["versions"].keys() >= {"jax", "flax", "numpy"}
        and env["num_processes"] == 1
        and env["devices"]
    )
    assert (
        env["data"]["splits"] == {"train": 24, "validation": 11} and env["data"]["num_classes"] == 4
    )
    num_parameters = sum(
        v.size for name, v in arrays(whole).items() if name.startswith("/state/params")
    )
    assert env["num_parameters"] == num_parameters
    assert json.loads((whole / "quarantine.json").read_text()) == {"train": [], "validation": []}
    train = [row["step"] for row in rows(whole) if "train/loss" in row]
    assert train == list(range(5, 41, 5))
    val = [row for row in rows(whole) if "val/loss" in row]
    assert [row["step"] for row in val] == list(range(8, 41, 8)) and all(
        row["val/num_clips"] == 11 for row in val
    )
    assert {"val/loss", "val/top1", "val/top5", "val/mean_class", "val/num_clips", "step"} == val[
        0
    ].keys()
    log = (whole / "run.log").read_text()
    assert "validation at step 8" in log and "compiled in" in log
    assert "moving squares" not in log  # names of folders only
    assert (whole / "report.html").stat().st_size > 10_000


def test_tensorboard_events_hold_the_scalars(whole):
    check_events(whole)


def test_best_and_latest_two_are_kept(whole):
    tops = {row["step"]: row["val/top1"] for row in rows(whole) if "val/top1" in row}
    best = max(tops, key=lambda step: (tops[step], step))
    assert set(steps_saved(whole)) == {39, 40, best}


def test_a_finished_run_does_no_step_and_renews_the_report(copy, everything, job, caplog):
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*") if p.is_file()}
    job([*everything, "--workdir", copy])
    now = {p: p.stat().st_mtime_ns for p in copy.rglob("*") if p.is_file()}
    changed = {str(p.relative_to(copy)) for p in {*before, *now} if before.get(p) != now.get(p)}
    assert "report.html" in changed
    assert not [p for p in changed if p.startswith(("checkpoints", "evaluation", "env.json"))]
    assert "has done its 40 steps" in (copy / "run.log").read_text()


def test_sigterm_in_an_evaluation_leaves_it_to_the_resumed_run(
    copy, whole, everything, job, monkeypatch
):
    cut_back(copy, 39)

    def evaluate(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return inner(*arguments, **options)

    inner = evaluations.evaluate
    with monkeypatch.context() as patch, pytest.raises(Preempted, match="saved at step 40;"):
        patch.setattr(evaluations, "evaluate", evaluate)
        job([*everything, "--workdir", copy])
    assert steps_saved(copy)[-1] == 40 and 40 not in [
        row["step"] for row in rows(copy) if "val/loss" in row
    ]
    job([*everything, "--workdir", copy])
    assert_same_run(copy, whole)


def test_a_damaged_latest_checkpoint_is_passed_over(copy, whole, everything, job):
    """One flipped bit, which Orbax would restore without a word."""
    folder = copy / "checkpoints/00000040"
    victim = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(bytes(data))
    before = len((copy / "run.log").read_text())
    job([*everything, "--workdir", copy])
    warnings = re.findall("WARNING (.*)", (copy / "run.log").read_text()[before:])
    assert warnings == [
        f"checkpoint 40 is damaged ({victim.relative_to(folder)} has changed): passed over"
    ]
    assert_same_run(copy, whole)


def test_what_a_killed_save_leaves_does_not_count(copy, whole, everything, job):
    cut_back(copy, 39)
    folder = copy / "checkpoints"
    shutil.copytree(
        folder / "00000039", folder / "00000040"
    )  # arrays whole, the manifest not yet written
    (folder / "00000041.orbax-checkpoint-tmp").mkdir()
    (folder / ".00000040.json.host-1.part").write_text('{"step": 40, "sc')
    job([*everything, "--workdir", copy])
    assert_same_run(copy, whole)
    names = {p.name.removesuffix(".json") for p in folder.iterdir()}
    assert names == {f"{step:08d}" for step in steps_saved(whole)}


def test_a_second_run_in_the_folder_exits_at_once(start, launch, everything, copy):
    import fcntl

    with open(copy / "lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write("somehost, pid 4711, since 2026-01-02 03:04:05\n")
        lock.flush()
        before = (copy / "metrics.jsonl").read_bytes()
        done = launch([*everything, "--workdir", copy])
    assert done.returncode == 6
    assert "is in use by somehost, pid 4711, since 2026-01-02 03:04:05." in done.stderr
    assert len(done.stderr.splitlines()) == 1 and (copy / "metrics.jsonl").read_bytes() == before


def test_a_changed_config_is_refused_with_the_difference(copy, everything, job):
    before = {
        p: p.stat().st_mtime_ns
        for p in copy.rglob("*")
        if p.is_file() and p.name not in ("lock", "run.log")
    }
    with pytest.raises(UserError) as refused:
        job(
            [
                *everything,
                *flags(**{"optim.learning_rate": 0.02, "augment.flip": 0.25}),
                "--workdir",
                copy,
            ]
        )
    lines = str(refused.value).splitlines()
    assert refused.value.exit_code == 2 and len(lines) == 3
    assert (
        "augment.flip: 0.5 there, 0.25 now" in lines[1]
        and "optim.learning_rate: 0.01 there, 0.02 now" in lines[2]
    )
    assert all(p.stat().st_mtime_ns == then for p, then in before.items())


def test_more_steps_and_other_logging_go_on(copy, whole, everything, job):
    before = (copy / "clips.log").read_bytes()
    job(
        [
            *everything,
            *flags(num_steps=44, log_steps=2, eval_steps=44, checkpoint_steps=50),
            "--workdir",
            copy,
        ]
    )
    after = (copy / "clips.log").read_bytes()
    assert after.startswith(before) and after.count(b"\n") == 44
    assert [row["step"] for row in rows(copy)][-3:] == [42, 44, 44]
    assert json.loads((copy / "config.json").read_text())["num_steps"] == 44
    shorter = flags(num_steps=20)
    job([*everything, *shorter, "--workdir", copy])  # does nothing, and breaks nothing
    assert steps_saved(copy)[-1] == 44


def test_a_loss_that_is_not_finite_stops_and_saves_nothing_of_it(everything, whole, job, tmp_path):
    # the first step of the warm-up has rate 0 and does no harm, the next does
    run, wrong = tmp_path / "run", flags(**{"optim.learning_rate": 1e38, "checkpoint_steps": 1})
    with pytest.raises(NonFiniteLoss) as stopped:
        job([*everything, *wrong, "--workdir", run])
    message = str(stopped.value)
    assert stopped.value.exit_code == 4 and len(message.splitlines()) <= 5
    assert "not finite" in message and "learning_rate" in message
    assert steps_saved(run)[0] == 1
    for step in steps_saved(run):
        assert all(np.isfinite(value).all() for value in arrays(run, step).values())

    # Without a checkpoint the folder takes another config; and a line a step says what a line for
    # five does.
    cut_back(run, 0)
    job([*everything, *flags(num_steps=5, log_steps=1), "--workdir", run])
    assert steps_saved(run)[-1] == 5 and (run / "clips.log").read_text().count("\n") == 5
    single = [row["train/loss"] for row in rows(run) if "train/loss" in row]
    assert len(single) == 5 and abs(np.mean(single) - rows(whole)[0]["train/loss"]) < 1e-5


def test_bad_clips_stop_the_run_unless_allowed(squares, everything, job, tmp_path):
    root = shutil.copytree(squares, tmp_path / "synthetic-squares")
    shutil.rmtree(root / "20bn-jester-v1" / "3")
    with open(root / "jester-v1-train.csv", "a") as file:
        file.write("1000;Swiping Leftt\n")
    shutil.copytree(root / "20bn-jester-v1" / "1", root / "20bn-jester-v1" / "1000")
    run, here = tmp_path / "run", flags(**{"data.root": root, "data.cache_dir": tmp_path / "cache"})
    with pytest.raises(DataError) as refused:
        job([*everything, *here, "--workdir", run])
    message = str(refused.value)
    assert (
        refused.value.exit_code == 3
        and "2 of 25 train clips" in message
        and "3: " in message
        and "1000: " in message
    )
    assert "--config.data.max_bad=0.08" in message and len(message.splitlines()) <= 5
    allowed = [*everything, *here, *flags(**{"data.max_bad": 0.08})]
    config = jobs.parse([str(word) for word in allowed]).config
    records = load_split(build(config), "train", run)
    assert len(records) == 23
    table = json.loads((run / "quarantine.json").read_text())
    assert {row["id"] for row in table["train"]} == {"3", "1000"} and all(
        row["cause"] for row in table["train"]
    )


def test_the_work_folder_is_locked_by_its_name(whole):
    text = (whole / "lock").read_text()
    assert re.fullmatch(r"\S+, pid \d+, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n", text)


def test_all_checkpoints_damaged_is_a_storage_error(copy, everything, job):
    for step in steps_saved(copy):
        shutil.rmtree(copy / f"checkpoints/{step:08d}/d")
    with pytest.raises(StorageError) as refused:
        job([*everything, "--workdir", copy])
    assert refused.value.exit_code == 5 and "No checkpoint" in str(refused.value)
