"""Several runs as one evaluation: given weights, fitted ones and the SVM, and what is refused."""

import json
import logging
import shutil

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from vidjax.core.errors import UserError


@pytest.fixture(scope="module")
def runs(tiny, job, tmp_path_factory):
    """Two folders of one run, as if networks of some skill had answered, and the run as it was."""
    folder = tmp_path_factory.mktemp("fusion")
    job([*tiny, "--workdir", folder / "plain"])
    job(["--job", "evaluate", "--workdir", folder / "plain", "--split", "train"])
    for seed, name in enumerate("ab"):
        shutil.copytree(folder / "plain", folder / name)
        for split in ("train", "validation"):
            pretend(folder / name, split, seed=seed)
    # These messages went to the stderr of the setup; those of the first test go to its own.
    logger = logging.getLogger("vidjax")
    logger.handlers.clear()
    logger.propagate = True
    return folder


def pretend(run, split, *, seed, skill=1.0):
    """Replaces the scores of a run by noise that leans to the labels."""
    arrays = rows_of(run, split)
    noise = np.random.default_rng([seed, len(split)])
    logits = noise.normal(size=arrays["scores"].shape) + skill * np.eye(4)[arrays["label"]]
    arrays["scores"] = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.savez(run / f"evaluation/{split}.npz", **arrays)


def rows_of(run, split="validation"):
    with np.load(run / f"evaluation/{split}.npz") as file:
        return dict(file)


def fuse(job, runs, *words, names="ab"):
    job(["--job", "evaluate", "--runs", *(runs / name for name in names), *words])


def top1(scores, label):
    return 100 * np.mean(np.argmax(scores, 1) == label)


def last_line(capfd):
    return capfd.readouterr().err.splitlines()[-1]


def test_the_average_with_equal_and_with_given_weights(runs, job, capfd, tmp_path):
    a, b = (rows_of(runs / name) for name in "ab")
    fuse(job, runs)
    said = capfd.readouterr().err.splitlines()
    assert f"top-1 {top1(a['scores'], a['label']):.1f} %" in said[0] and "at step 2" in said[0]
    fused = top1((a["scores"] + b["scores"]) / 2, a["label"])
    assert said[-1].startswith(f"validation of 2 runs (weights 0.500, 0.500): top-1 {fused:.1f} %")
    assert said[-1].endswith("11 clips")
    fuse(job, runs, "--weights", "1", "3", "--workdir", tmp_path / "fused")
    written = rows_of(tmp_path / "fused")
    expected = (a["scores"] + 3 * b["scores"]) / 4
    np.testing.assert_allclose(written["scores"], expected, rtol=1e-4, atol=1e-6)
    summary = json.loads((tmp_path / "fused/evaluation/validation.json").read_text())
    values = {scalar["name"]: scalar["value"] for scalar in summary["scalars"]}
    assert values["top1"] == pytest.approx(top1(expected, a["label"]) / 100, abs=1e-6)
    assert summary["step"] is None and summary["num_clips"] == 11
    how = json.loads((tmp_path / "fused/fusion.json").read_text())
    assert how["weights"] == [0.25, 0.75] and [run["step"] for run in how["runs"]] == [2, 2]
    page = (tmp_path / "fused/report.html").read_text()
    assert f"{100 * values['top1']:.1f}" in page and str(runs / "b") in page
    assert "--weights 1 3" in page and "top-1 alone" in page
    assert "Training curves" not in page and "config.json was not found" not in page


def test_fitted_weights_and_the_svm(runs, job, capfd, tmp_path):
    fuse(job, runs, "--fit", "weights", "--workdir", tmp_path / "weights")
    how = json.loads((tmp_path / "weights/fusion.json").read_text())
    assert sum(how["weights"]) == pytest.approx(1)
    capfd.readouterr()
    fuse(job, runs, "--fit", "svm", "--workdir", tmp_path / "svm")
    features = {}
    for split in ("train", "validation"):
        scores = [rows_of(runs / name, split)["scores"] for name in "ab"]
        unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in scores]
        features[split] = np.concatenate(unit, axis=1)
    reference = LinearSVC(loss="hinge", tol=1e-9, max_iter=1_000_000)
    reference.fit(features["train"], rows_of(runs / "a", "train")["label"])
    label = rows_of(runs / "a")["label"]
    expected = 100 * reference.score(features["validation"], label)
    assert last_line(capfd).startswith(f"validation of 2 runs (linear SVM): top-1 {expected:.1f} %")


def test_a_task_that_does_not_fuse_is_refused_before_any_evaluation(runs, job, tmp_path, capfd):
    """The run that fits comes first, and has no stored scores."""
    for name in "ab":
        shutil.copytree(runs / "plain", tmp_path / name)
    (tmp_path / "a/evaluation/validation.npz").unlink()
    config = json.loads((tmp_path / "b/config.json").read_text())
    config["task"]["name"], config["head"] = "framewise", {"name": "framewise", "dropout": 0.0}
    (tmp_path / "b/config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="Runs of the task framewise cannot be fused"):
        fuse(job, tmp_path)
    assert "evaluating" not in capfd.readouterr().err


def test_a_run_without_stored_scores_is_evaluated(runs, job, tmp_path, capfd):
    for name in ("one", "two"):
        shutil.copytree(runs / "plain", tmp_path / name)
    (tmp_path / "one/evaluation/validation.npz").unlink()
    damaged = tmp_path / "two/evaluation/validation.npz"
    damaged.write_bytes(damaged.read_bytes()[:200])
    fuse(job, tmp_path, "--workdir", tmp_path / "fused", names=("one", "two"))
    message = capfd.readouterr().err
    assert message.count(": evaluating the validation split") == 2
    expected = rows_of(runs / "plain")["scores"]
    np.testing.assert_allclose(rows_of(tmp_path / "fused")["scores"], expected, rtol=1e-4)
    assert not (tmp_path / "one/evaluation/validation.npz").exists()


def test_scores_of_other_flags_are_not_those_of_the_run(runs, job, tmp_path, capfd):
    """An evaluation of one of the runs on other frames is not taken for its answers."""
    for name in ("one", "two"):
        shutil.copytree(runs / "plain", tmp_path / name)
    flags = ["--config.data.num_frames=2", "--workdir", tmp_path / "one"]
    job(["--job", "evaluate", *flags])
    (tmp_path / "one/quarantine.json").unlink()
    other = rows_of(tmp_path / "one")["scores"]
    capfd.readouterr()
    fuse(job, tmp_path, "--workdir", tmp_path / "fused", names=("one", "two"))
    assert capfd.readouterr().err.count(": evaluating the validation split") == 1
    expected = rows_of(runs / "plain")["scores"]
    assert np.abs(other - expected).max() > 1e-3
    np.testing.assert_allclose(rows_of(tmp_path / "fused")["scores"], expected, rtol=1e-4)
    # Into the folders of the runs nothing is written, not even what was left out.
    assert not (tmp_path / "one/quarantine.json").exists()


def test_runs_that_differ_are_refused(runs, job, tmp_path):
    def refused(change, *words):
        folder = shutil.copytree(runs / "b", tmp_path / "b", dirs_exist_ok=True)
        arrays = rows_of(folder)
        change(arrays)
        np.savez(folder / "evaluation/validation.npz", **arrays)
        with pytest.raises(UserError) as caught:
            job(["--job", "evaluate", "--runs", runs / "a", folder, *words])
        return str(caught.value)

    def rename_clip(arrays):
        arrays["ids"][3] = "99"

    def rename_class(arrays):
        arrays["classes"][1] = "Waving"

    def relabel(arrays):
        arrays["label"][0] += 1

    clip = rows_of(runs / "a")["ids"][3]
    assert f"clip 3 is '{clip}' in the one and '99' in the other" in refused(rename_clip)
    assert "class 1 is" in refused(rename_class) and "'Waving' in" in refused(rename_class)
    assert "other labels" in refused(relabel)


@pytest.mark.parametrize(
    "words, pattern",
    (
        (["--weights", "1"], "2 runs and 1 --weights"),
        (["--weights", "0", "0"], "not all 0"),
        (["--weights", "1", "-1"], "0 or more"),
        (["--fit", "smv"], "Did you mean 'svm'"),
        (["--fit", "svm", "--weights", "1", "1"], "leave one out"),
        (["--checkpoint", "7"], "no checkpoint '7'"),
    ),
)
def test_flags_that_cannot_be(runs, job, words, pattern):
    with pytest.raises(UserError, match=pattern):
        fuse(job, runs, *words)


def test_folders_that_cannot_be(runs, job, tmp_path):
    for words, pattern in (
        (["--runs", runs / "a"], "two work folders"),
        (["--runs", runs / "a", tmp_path], "no run in"),
        (["--runs", runs / "a", runs / "b", "--workdir", runs / "a"], "would be replaced"),
        (["--workdir", runs / "a", "--fit", "svm"], "name them with --runs"),
    ):
        with pytest.raises(UserError, match=pattern):
            job(["--job", "evaluate", *words])
