"""Tasks of frames and places through the door: what a run leaves, says, shows, and resumes."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.jobs.test_train import assert_same_run, cut_back, steps_saved
from vidjax.core.errors import DataError, UserError

ROOT = Path(__file__).parents[2]
# The network of each config takes longer to compile; tests/test_configs.py trains those.
SMALL = {
    "model.name": "tiny3d",
    "model.variant": "tiny3d",
    "augment.flip": 0.5,
    "num_steps": 6,
    "eval_steps": 3,
    "checkpoint_steps": 2,
    "optim.ema_decay": 0.9,
    "head.dropout": 0.2,
}
SCALARS = {
    "framewise": {"frame_accuracy", "mean_class", "f1_10", "f1_25", "f1_50", "edit"},
    "segmentation": {"miou", "voxel_accuracy"},
    "detection": {"video_map", "frame_map", "voxel_accuracy"},
}
TRAINED = {
    "framewise": "frame_accuracy",
    "segmentation": "miou",
    "detection": "voxel_accuracy",
}
SECTIONS = {
    "framewise": ["timeline", "confusion", "table"],
    "segmentation": ["overlay", "table"],
    "detection": ["overlay", "table"],
}
TASKS = list(SCALARS)
OTHERS_SWEPT = [TASKS[0], *(pytest.param(task, marks=pytest.mark.sweep) for task in TASKS[1:])]


def flags(settings):
    return [f"--config.{key}={value}" for key, value in settings.items()]


def words_of(dense, task):
    small = SMALL | ({"task.background": "begin"} if task == "framewise" else {})
    words = [*dense(task), *flags(small)]
    if task != "framewise":
        words.append("--config.head.channels=4")
    return words


@pytest.fixture(scope="module")
def folders(dense, job, tmp_path_factory):
    """folders(task) -> the folder of a run of six steps, made once."""
    made = {}

    def folder(task):
        if task not in made:
            made[task] = tmp_path_factory.mktemp(task) / "run"
            job([*words_of(dense, task), "--workdir", made[task]])
        return made[task]

    return folder


def rows_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def summary_of(run, split="validation"):
    return json.loads((run / f"evaluation/{split}.json").read_text())


@pytest.mark.parametrize("task", TASKS)
def test_metrics_are_those_that_the_task_names(folders, task):
    run = folders(task)
    rows = rows_of(run)
    train = [row for row in rows if "train/loss" in row]
    assert [row["step"] for row in train] == [1, 2, 3, 4, 5, 6]
    assert all(0 <= row[f"train/{TRAINED[task]}"] <= 1 for row in train)
    val = [row for row in rows if "val/loss" in row]
    names = {f"val/{name}" for name in SCALARS[task]} | {"val/loss", "val/num_clips"}
    assert [row["step"] for row in val] == [3, 6] and set(val[0]) - {"step"} == names
    assert all(row["val/num_clips"] == 11 for row in val)
    summary = summary_of(run)
    assert {scalar["name"] for scalar in summary["scalars"]} == SCALARS[task] | {"loss"}
    assert summary["num_clips"] == 11 and summary["task"] == task
    assert [section["kind"] for section in summary["sections"]] == SECTIONS[task]
    with np.load(run / "evaluation/validation.npz") as file:
        kept = set(file)
    assert len(kept) > 3 and ("scores" in kept) == (task == "framewise")  # maps are not kept


@pytest.mark.parametrize("task", OTHERS_SWEPT)
def test_an_evaluation_by_itself_comes_to_the_same(folders, job, task, tmp_path):
    """Also in batches of another size, with other padding."""
    run = shutil.copytree(folders(task), tmp_path / "run")
    last = [row for row in rows_of(run) if "val/loss" in row][-1]
    words = ["--job", "evaluate", "--workdir", run, "--checkpoint", "latest"]
    job([*words, "--config.batch_size=3"])
    for scalar in summary_of(run)["scalars"]:
        expected = last[f"val/{scalar['name']}"]
        if np.isfinite(expected):
            assert scalar["value"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    job([*words, "--split", "train"])
    assert summary_of(run, "train")["num_clips"] == 24


def pictures(page):
    """The pictures of a page by what their alternative text says."""
    found = {}
    for uri, text in re.findall(r'<img src="(data:image[^"]*)"\s+alt="([^"]*)"', page):
        found[text] = uri
    return found


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_the_report_shows_truth_above_answer(folders, task):
    """The truth of a square is a tinted square, or its border, where the square is."""
    run = folders(task)
    page = (run / "report.html").read_text()
    (section,) = [s for s in summary_of(run)["sections"] if s["kind"] == "overlay"]
    assert section["clips"] and section["note"] in page
    shown = pictures(page)
    for clip in section["clips"]:
        assert any(text.startswith(f"Frames of clip {clip['id']},") for text in shown)
        assert f"{section['score']} {clip['score']:.3f}" in page
        with Image.open(run / "evaluation" / clip["strip"]) as image:
            strip = np.asarray(image).astype(int)
        assert strip.shape == (2 * 16, 4 * 16, 3)  # truth and answer, four frames of 16 pixels
        # The video is grey: what has a colour was painted.
        painted = strip.max(-1) - strip.min(-1) > 40
        truth = painted[:16].reshape(16, 4, 16)
        height, width = (np.flatnonzero(truth[:, 0].any(axis)) for axis in (1, 0))
        # A square of 7 pixels, of 20 that became 18, cropped to 16: later it leaves the picture.
        assert 5 <= np.ptp(height) + 1 <= 7 and 5 <= np.ptp(width) + 1 <= 7


def test_the_report_shows_time_lines(folders):
    run = folders("framewise")
    page = (run / "report.html").read_text()
    (section,) = [s for s in summary_of(run)["sections"] if s["kind"] == "timeline"]
    lines = re.findall(r'<div class="timeline"><span>(\w+)</span><b>(.*?)</b></div>', page, re.S)
    assert [name for name, _ in lines] == ["truth", "answer"] * len(section["clips"])
    for number, clip in enumerate(section["clips"]):
        assert clip["num_frames"] == 6
        middle = 2 + int(clip["id"]) % 3
        assert clip["truth"] == [[0, middle, 0], [middle, 6, 1]]
        spans = re.findall(r"width:([\d.]+)%[^>]*title=\"(\w+)\"", lines[2 * number][1])
        assert [name for _, name in spans] == ["begin", "end"]
        assert [float(width) for width, _ in spans] == pytest.approx(
            [100 * middle / 6, 100 * (6 - middle) / 6], abs=1e-3
        )
        widths = re.findall(r"width:([\d.]+)%", lines[2 * number + 1][1])
        assert sum(map(float, widths)) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("task", OTHERS_SWEPT)
def test_a_resumed_run_ends_with_the_same_bits(folders, job, task, tmp_path):
    run = shutil.copytree(folders(task), tmp_path / "run")
    cut_back(run, steps_saved(run)[-2])
    assert steps_saved(run)[-1] < 6
    job(["--workdir", run])
    assert_same_run(run, folders(task))


@pytest.mark.parametrize("task", TASKS)
def test_runs_whose_answers_are_not_of_clips_are_not_fused(folders, job, task):
    run = folders(task)
    with pytest.raises(UserError, match=f"task {task} cannot be fused") as caught:
        job(["--job", "evaluate", "--runs", run, run])
    assert len(str(caught.value).splitlines()) <= 5


WRONG = [
    ("framewise", "head.upsample=false", UserError, "each of the 4 frames of a clip"),
    ("framewise", "head.name=average", UserError, "every frame; the head average answers for the"),
    ("framewise", "data.manifest.labels=boxes", DataError, "has no segments, which the task"),
    ("segmentation", "data.manifest.labels=segments", DataError, "has no masks, which the task"),
    ("detection", "task.max_boxes=0", UserError, "config.task.max_boxes is 0; it is 1 or more"),
]


@pytest.mark.parametrize("task, word, error, reason", WRONG)
def test_what_does_not_fit_the_task_is_told(dense, job, task, word, error, reason, tmp_path):
    with pytest.raises(error, match=reason) as caught:
        job([*dense(task), f"--config.{word}", "--workdir", tmp_path / "run"])
    assert len(str(caught.value).splitlines()) <= 5
    assert not (tmp_path / "run/checkpoints").exists()


def test_without_opencv_a_run_of_two_streams_does_not_begin(cheap, job, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)  # importing it fails, as where it is missing
    words = ["--config", ROOT / "configs/two_stream.py", *cheap, "--workdir", tmp_path / "run"]
    with pytest.raises(UserError, match="pip install opencv-python-headless"):
        job(words)
    assert not (tmp_path / "run/checkpoints").exists()
