"""One global batch on 1, 2, 4 and 8 devices: one in this process, more simulated in processes of
their own.
"""

import json
import os

import jax
import numpy as np
import pytest

from vidjax.core.errors import UserError
from vidjax.run import devices

MANY = [pytest.param(count, marks=pytest.mark.slow) for count in (2, 4, 8)]
NUM_CLIPS = 997  # a prime: no batch divides it


@pytest.fixture(scope="module")
def many(squares, shared, once):
    """The squares with 997 validation clips: names for the same eleven folders."""

    def make(root):
        (root / "20bn-jester-v1").mkdir(parents=True)
        labels = dict(
            line.split(";")
            for line in (squares / "jester-v1-validation.csv").read_text().splitlines()
        )
        clips = list(labels)
        lines = []
        for i in range(NUM_CLIPS):
            clip = clips[i % len(clips)]
            os.symlink(squares / "20bn-jester-v1" / clip, root / "20bn-jester-v1" / str(5000 + i))
            lines.append(f"{5000 + i};{labels[clip]}\n")
        (root / "jester-v1-validation.csv").write_text("".join(lines))
        for name in ("jester-v1-labels.csv", "jester-v1-train.csv"):
            (root / name).write_bytes((squares / name).read_bytes())
        for clip in (squares / "jester-v1-train.csv").read_text().splitlines():
            os.symlink(
                squares / "20bn-jester-v1" / clip.split(";")[0],
                root / "20bn-jester-v1" / clip.split(";")[0],
            )

    return once(shared / "synthetic-many", make)


@pytest.fixture(scope="module")
def runs(tiny, many, job, launch, shared, once):
    """runs(device count) -> folder of a run of three steps and an evaluation of 997 clips."""
    words = [*tiny, f"--config.data.root={many}", "--config.num_steps=3", "--config.batch_size=104"]
    words.append("--config.model.lowering=native")  # the least to compile

    def make(folder):
        count = int(folder.name.rpartition("-")[2])
        if count == jax.device_count():
            job([*words, "--workdir", folder])
            return
        flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={count}"
        done = launch([*words, "--workdir", folder], XLA_FLAGS=flags)
        assert done.returncode == 0, done.stderr

    return lambda count: once(shared / f"devices-{count}", make)


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("count", MANY)
def test_the_clips_and_the_loss_are_those_of_one_device(runs, count):
    run, alone = runs(count), runs(1)
    log = (alone / "clips.log").read_bytes()
    losses, found = (
        [row["train/loss"] for row in rows(r) if "train/loss" in row] for r in (alone, run)
    )
    assert log.count(b"\n") == 3 and len(losses) == 3
    assert f"{count} x cpu" in json.loads((run / "env.json").read_text())["devices"][0]
    assert (run / "clips.log").read_bytes() == log
    np.testing.assert_allclose(found, losses, rtol=0, atol=1e-5)


def evaluation(run):
    """What an evaluation wrote: its summary, the value of each scalar, the rows of all clips."""
    table = json.loads((run / "evaluation/validation.json").read_text())
    scalars = {scalar["name"]: scalar["value"] for scalar in table["scalars"]}
    with np.load(run / "evaluation/validation.npz") as file:
        return table, scalars, dict(file)


@pytest.mark.parametrize("count", [1, *MANY])
def test_997_clips_are_997_on_any_number_of_devices(runs, count):
    table, scalars, clips = evaluation(runs(count))
    _, alone, _ = evaluation(runs(1))
    assert table["num_clips"] == NUM_CLIPS
    assert np.sum(table["sections"][0]["counts"]) == NUM_CLIPS
    assert list(clips["ids"]) == [str(5000 + i) for i in range(NUM_CLIPS)]
    assert scalars["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    # clips of one folder have one answer, wherever they lay in a batch and on whichever device
    answers = {}
    for i, loss in enumerate(clips["loss"]):
        answers.setdefault(i % 11, set()).add(round(float(loss), 4))
    assert all(len(answer) <= 2 for answer in answers.values())


@pytest.mark.slow
def test_a_checkpoint_of_eight_devices_is_evaluated_on_those_that_are_here(runs, job):
    job(["--job", "evaluate", "--workdir", runs(8), "--checkpoint", "latest"])
    table, scalars, _ = evaluation(runs(8))
    row = next(row for row in rows(runs(8)) if row["step"] == 3 and "val/loss" in row)
    assert table["num_clips"] == row["val/num_clips"] == NUM_CLIPS
    assert scalars["loss"] == pytest.approx(row["val/loss"], abs=1e-5)


def test_a_batch_that_devices_do_not_divide_names_the_nearest_that_can(monkeypatch):
    class Mesh:
        devices = np.zeros(8)

    devices.check_batch(16, Mesh)
    for batch, near in [(12, 16), (9, 8), (1, 8), (23, 24)]:
        with pytest.raises(UserError, match=f"--config.batch_size={near}\\."):
            devices.check_batch(batch, Mesh)


def test_put_and_abstract_lie_as_the_mesh_says():
    mesh = devices.make_mesh()
    batch = devices.put({"video": np.zeros((2 * mesh.devices.size, 3), np.uint8)}, mesh)
    assert batch["video"].sharding == devices.sharded(mesh)
    shape = devices.abstract({"w": np.zeros((2, 3), np.float32)}, mesh)["w"]
    assert isinstance(shape, jax.ShapeDtypeStruct) and shape.shape == (2, 3)
    assert shape.sharding == devices.replicated(mesh)
    assert (
        devices.describe()[0].startswith(f"{jax.device_count()} x ") and devices.is_first_process()
    )
