"""Features of a run and of published weights, through the door, and a head trained on them."""

import json
import os
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from vidjax import convert, jobs, models
from vidjax.core.errors import DataError, MissingData, UserError
from vidjax.data import feature_files
from vidjax.experiment import weights

ROOT = Path(__file__).parents[2]
PROBE = str(ROOT / "configs/probe.py")


@pytest.fixture(scope="module")
def run(tiny, job, tmp_path_factory):
    """A run of two steps whose scores are written, and its features, averaged."""
    folder = tmp_path_factory.mktemp("features") / "run"
    job([*tiny, "--config.optim.ema_decay=0.5", "--workdir", folder])
    job(["--job", "features", "--workdir", folder])
    return folder


def read(folder, split):
    """(ids, labels, rows) of a split, put together from the list and the shards."""
    entries = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
    shards = {entry["shard"]: None for entry in entries}
    arrays = {name: load_file(folder / name)["features"] for name in shards}
    rows = np.stack([arrays[entry["shard"]][entry["row"]] for entry in entries])
    return [entry["id"] for entry in entries], [entry["label"] for entry in entries], rows


def index(folder):
    return json.loads((folder / "features.json").read_text())


def refused(job, words, error=UserError):
    with pytest.raises(error) as caught:
        job(words)
    assert len(str(caught.value).splitlines()) <= 5
    return str(caught.value)


def test_the_features_are_what_the_head_answered_from(run):
    """The scores of the run follow from the features by its last layer: every clip, in order."""
    ids, labels, rows = read(run / "features", "validation")
    with np.load(run / "evaluation/validation.npz") as file:
        stored = dict(file)
    assert ids == stored["ids"].tolist() and rows.dtype == np.float32
    assert labels == [stored["classes"][label] for label in stored["label"]]
    logits = weights.read(run).variables["params"]["head"]["logits"]
    answers = jax.nn.softmax(rows @ logits["kernel"] + logits["bias"])
    np.testing.assert_allclose(answers, stored["scores"], rtol=1e-4, atol=1e-6)
    about = index(run / "features")
    assert about["splits"]["train"]["num_clips"] == 24 == len(read(run / "features", "train")[0])
    assert about["shape"] == [rows.shape[1]] and about["classes"] == stored["classes"].tolist()
    assert about["contract"]["network"]["name"] == "tiny3d" and about["step"] == 2


def test_an_endpoint_with_time_and_space_in_several_shards(run, job, tmp_path, monkeypatch):
    words = ["--job", "features", "--workdir", run, "--splits", "validation"]
    words += ["--endpoint", "stage2", "--output", tmp_path]
    monkeypatch.setattr(feature_files, "SHARD_BYTES", 1)  # less than a row: one a shard
    job([*words, "--pool", "none"])
    _, _, rows = read(tmp_path, "validation")
    assert rows.ndim == 5 and len(rows) == 11 and list(rows.shape[1:]) == index(tmp_path)["shape"]
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert shards == index(tmp_path)["splits"]["validation"]["shards"] and len(shards) == 11
    assert shards[0] == "validation-00000-of-00011.safetensors"
    # fewer shards the next time: none of these are left
    monkeypatch.undo()
    job([*words, "--pool", "space"])
    _, _, over_time = read(tmp_path, "validation")
    np.testing.assert_allclose(over_time, rows.mean((2, 3)), rtol=1e-4, atol=1e-6)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == [
        "validation-00000-of-00001.safetensors"
    ]


def test_published_weights_without_a_run(tiny, job, tmp_path):
    module = models.build("tiny3d", variant="tiny3d", num_classes=3, width=0.05)
    clip = (1, 4, 16, 16, 3)
    variables = jax.jit(module.init)(jax.random.key(1), jnp.zeros(clip))
    convert.save(tmp_path / "own.safetensors", module, variables, clip=clip)
    words = [*tiny, "--job", "features", "--workdir", tmp_path / "out", "--splits", "validation"]
    job([*words, f"--config.init_from={tmp_path / 'own.safetensors'}"])
    ids, _, rows = read(tmp_path / "out/features", "validation")
    assert len(ids) == 11 and rows.std(axis=0).max() > 0
    assert index(tmp_path / "out/features")["init_from"].endswith("own.safetensors")
    assert not (tmp_path / "out/checkpoints").exists()


def test_a_head_is_trained_on_features_and_evaluated(run, job, tmp_path, capsys):
    """All that a run leaves, and what `describe` says of it before."""
    words = [f"--config.data.root={run / 'features'}", "--config.batch_size=8"]
    words += ["--config.num_steps=3", "--config.log_steps=1", "--config.schedule.warmup_steps=1"]
    job(["--config", PROBE, *words, "--job", "describe"])
    assert "'features' of tiny3d tiny3d" in capsys.readouterr().out
    job(["--config", PROBE, *words, "--workdir", tmp_path / "probe"])
    lines = (tmp_path / "probe/metrics.jsonl").read_text().splitlines()
    losses = [row["train/loss"] for row in map(json.loads, lines) if "train/loss" in row]
    assert len(losses) == 3 and np.isfinite(losses).all()
    job(["--job", "evaluate", "--workdir", tmp_path / "probe", "--split", "train"])
    with np.load(tmp_path / "probe/evaluation/train.npz") as file:
        stored = dict(file)
    ids, _, rows = read(run / "features", "train")
    assert stored["ids"].tolist() == ids
    logits = weights.read(tmp_path / "probe").variables["params"]["head"]["logits"]
    answers = jax.nn.softmax(rows @ logits["kernel"] + logits["bias"])
    np.testing.assert_allclose(stored["scores"], answers, rtol=1e-4, atol=1e-6)
    (contract,) = (tmp_path / "probe/checkpoints").glob("*3/inference.json")
    assert json.loads(contract.read_text())["features"]["endpoint"] == "features"
    assert (tmp_path / "probe/report.html").exists()
    to = tmp_path / "probe.safetensors"
    job(["--job", "import_weights", "--from", tmp_path / "probe", "--to", to])
    module, _ = convert.load(to)
    assert models.identify(module)[:2] == ("precomputed", "features")


def features_on_devices():
    """The run of the test below, in a process with simulated devices; prints what it wrote."""
    words = json.loads(os.environ["WORDS"])
    jobs.main(words)
    _, _, rows = read(Path(words[-1]), "validation")
    print(json.dumps([len(jax.devices()), rows.tolist()]))


@pytest.mark.slow
def test_features_are_the_same_on_several_devices(run, on_devices, monkeypatch, tmp_path):
    """Batches of 8 on 4 devices; the last of the 11 clips share a batch with padding."""
    words = ["--job", "features", "--workdir", run, "--splits", "validation", "--output", tmp_path]
    monkeypatch.setenv("WORDS", json.dumps([str(word) for word in words]))
    count, rows = on_devices(__file__, "features_on_devices", 4)
    expected = read(run / "features", "validation")[2]
    assert count == 4 and len(rows) == 11
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_is_told(run, tiny, job, tmp_path):
    of_run = ["--job", "features", "--workdir", run, "--splits", "validation"]
    assert "Did you mean 'stage3'" in refused(job, [*of_run, "--endpoint", "stge3"])
    assert "Did you mean 'space'" in refused(job, [*of_run, "--pool", "spce"])
    assert "Did you mean 'validation'" in refused(job, [*of_run[:-1], "validaton"])
    other = refused(job, [*of_run, "--config.init_from=torchvision:r3d_18"])
    assert "holds a run" in other
    nothing = refused(job, [*tiny, "--job", "features", "--workdir", tmp_path / "none"])
    assert "no run in" in nothing and not (tmp_path / "none").exists()
    probe = ["--config", PROBE, f"--config.data.root={run / 'features'}"]
    probe += ["--workdir", tmp_path / "probe"]
    assert "arrays without pixels" in refused(job, [*probe, "--config.augment.flip=0.5"])
    frames = [*probe, "--config.task.name=framewise", "--config.head.name=framewise"]
    assert "labels of whole clips alone" in refused(job, frames)
    several = refused(job, [*probe, "--config.task.name=multilabel"])
    assert "were made for the task classification" in several
    words = ["--config", PROBE, f"--config.data.root={tmp_path}", "--workdir", tmp_path / "probe"]
    assert "--job features" in refused(job, words, MissingData)


def test_damaged_features_are_told(run, job, tmp_path):
    folder = shutil.copytree(run / "features", tmp_path / "features")
    words = ["--config", PROBE, f"--config.data.root={folder}", "--workdir", tmp_path / "probe"]
    (shard,) = folder.glob("train-*")
    shard.write_bytes(shard.read_bytes()[:100])
    assert re.search(r"train-00000.*cannot be read", refused(job, words, DataError))
    (folder / "train.jsonl").write_text("{}\n")
    assert "train.jsonl cannot be read" in refused(job, words, DataError)
    (folder / "features.json").write_text("[]")
    assert "features.json is damaged" in refused(job, words, DataError)
