"""Any checkpoint of a run on any split, without typing its settings again."""

import json
import re
import shutil

import numpy as np
import pytest

from vidjax.core.errors import UserError


@pytest.fixture(scope="module")
def copy(whole, tmp_path_factory):
    """A copy of the finished run that these tests write evaluations into."""
    return shutil.copytree(whole, tmp_path_factory.mktemp("evaluate") / "run")


def validation(run):
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {row["step"]: row for row in rows if "val/loss" in row}


def evaluate(job, run, *words, split="validation"):
    job(["--job", "evaluate", "--workdir", run, "--split", split, *words])
    return json.loads((run / f"evaluation/{split}.json").read_text())


def assert_equal(table, row):
    """The same numbers, not nearly the same."""
    values = {scalar["name"]: scalar["value"] for scalar in table["scalars"]}
    assert set(values) == {"loss", "top1", "top5", "mean_class"}
    for name, value in values.items():
        assert value == round(row[f"val/{name}"], 6), name
    assert (table["step"], table["num_clips"]) == (row["step"], row["val/num_clips"])


def section(table, kind):
    return next(section for section in table["sections"] if section["kind"] == kind)


def rows_of(run, split="validation"):
    """All scores, as other programs read them."""
    with np.load(run / f"evaluation/{split}.npz") as file:
        return dict(file)


def test_best_is_the_default_and_equals_what_training_wrote(copy, job, capfd):
    rows = validation(copy)
    best = max(rows.values(), key=lambda row: (row["val/top1"], row["step"]))
    table = evaluate(job, copy)
    assert_equal(table, best)
    message = capfd.readouterr().err
    assert (
        f"validation at step {best['step']}: top-1 {100 * best['val/top1']:.1f} %" in message
        and "11 clips" in message
    )
    # the parts of the table agree with each other
    scores = rows_of(copy)
    hits = int((scores["scores"].argmax(1) == scores["label"]).sum())
    assert best["val/top1"] == pytest.approx(hits / 11)
    assert scores["ids"].shape == (11,) and scores["scores"].shape == (11, 4)
    np.testing.assert_allclose(scores["scores"].sum(1), 1, rtol=1e-5)
    assert best["val/loss"] == pytest.approx(scores["loss"].mean(), rel=1e-5)
    counts = np.array(section(table, "confusion")["counts"])
    assert counts.sum() == 11 and np.trace(counts) == hits
    assert sum(row[1] for row in section(table, "table")["rows"]) == 11
    for clip in section(table, "strips")["clips"]:
        assert (copy / "evaluation" / clip["strip"]).exists()


def test_latest_and_a_step(copy, job):
    last = validation(copy)[40]
    assert_equal(evaluate(job, copy, "--checkpoint", "latest"), last)
    assert_equal(evaluate(job, copy, "--checkpoint", "40"), last)
    assert evaluate(job, copy, "--checkpoint", "39")["step"] == 39


def test_another_split_and_another_batch(copy, job):
    table = evaluate(job, copy, split="train")
    scores = rows_of(copy, "train")
    assert table["num_clips"] == 24 == len(set(scores["ids"]))
    other = evaluate(job, copy, "--config.batch_size=5", split="train")
    assert section(other, "confusion") == section(table, "confusion")
    np.testing.assert_allclose(rows_of(copy, "train")["loss"], scores["loss"], rtol=1e-4)


def test_what_is_not_there_is_told(copy, job, tiny, tmp_path):
    for words, pattern in [
        (["--workdir", copy, "--checkpoint", "7"], r"no checkpoint '7' .*\n?.*steps .*39, 40"),
        (
            ["--workdir", copy, "--split", "validaton"],
            r"no split 'validaton'. Did you mean 'validation'",
        ),
        (["--workdir", tmp_path / "none"], "no run to evaluate"),
        ([*tiny, "--workdir", tmp_path / "none"], "no run to evaluate"),
    ]:
        with pytest.raises(UserError) as refused:
            job(["--job", "evaluate", *words])
        assert refused.value.exit_code == 2 and re.search(pattern, str(refused.value)), (
            refused.value
        )
        assert len(str(refused.value).splitlines()) <= 5
    assert not (tmp_path / "none").exists()


def test_a_split_without_labels_is_refused(copy, job, squares, tmp_path):
    root = shutil.copytree(squares, tmp_path / "synthetic-squares")
    (root / "jester-v1-test.csv").write_text("1\n2\n3\n")
    with pytest.raises(UserError, match="no labels"):
        evaluate(job, copy, f"--config.data.root={root}", split="test")
