"""Another task through the door: two attributes a clip of the built-in set."""

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SMALL = {
    "model.name": "tiny3d",
    "model.variant": "tiny3d",
    "model.width": 0.05,
    "data.num_frames": 4,
    "data.size": 16,
    "data.resize": 18,
    "data.decode_threads": 1,
    "data.gestures.train_clips": 1,
    "data.gestures.validation_clips": 1,
    "augment.flip": 0.5,
    "batch_size": 9,
    "num_steps": 4,
    "log_steps": 2,
    "eval_steps": 4,
    "optim.learning_rate": 0.01,
    "schedule.warmup_steps": 1,
}


@pytest.fixture(scope="module")
def run(job, tmp_path_factory):
    """The folder of a short run of configs/multilabel.py on a tiny network."""
    folder = tmp_path_factory.mktemp("multilabel") / "run"
    words = ["--config", ROOT / "configs/multilabel.py", "--workdir", folder]
    job([*words, *(f"--config.{key}={value}" for key, value in SMALL.items())])
    return folder


def test_it_trains_and_says_what_the_task_names(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    train = [row for row in rows if "train/loss" in row]
    assert [row["step"] for row in train] == [2, 4]
    assert {"train/loss", "train/subset", "train/learning_rate"} <= set(train[0])
    (val,) = [row for row in rows if "val/loss" in row]
    assert {"val/loss", "val/map", "val/subset", "val/num_clips"} == set(val) - {"step"}
    assert 0 < val["val/map"] <= 1 and val["val/num_clips"] == 27
    saved = json.loads((run / "checkpoints/00000004.json").read_text())
    assert saved["score"] == pytest.approx(val["val/map"])  # the best is by the task's own scalar


def test_every_clip_has_two_attributes(run):
    with np.load(run / "evaluation/validation.npz") as file:
        clips = dict(file)
    assert clips["label"].shape == clips["scores"].shape == (27, len(clips["classes"]))
    np.testing.assert_array_equal(clips["label"].sum(1), 2)


def test_it_is_evaluated_from_its_folder_alone(run, job, capfd):
    job(["--job", "evaluate", "--workdir", run, "--split", "train"])
    message = capfd.readouterr().err
    assert "train at step 4: mean average precision" in message and "27 clips" in message
    table = json.loads((run / "evaluation/train.json").read_text())
    assert table["task"] == "multilabel"
    assert [section["kind"] for section in table["sections"]] == ["strips", "table"]


def test_the_report_speaks_of_attributes(run):
    page = (run / "report.html").read_text()
    assert "mean average precision" in page and "average precision" in page
    assert "top-1" not in page and "Confusion" not in page


def test_the_contract_of_a_checkpoint_names_task_and_attributes(run):
    contract = json.loads((run / "checkpoints/00000004/inference.json").read_text())
    env = json.loads((run / "env.json").read_text())
    assert contract["task"] == "multilabel" == env["task"]["name"]
    assert len(contract["classes"]) == contract["network"]["num_classes"]
