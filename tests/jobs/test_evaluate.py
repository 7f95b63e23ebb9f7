"""Any checkpoint of a run on any split, without typing its settings again."""

import json
import re
import shutil

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
    for name in ("loss", "top1", "top5", "mean_class", "num_clips"):
        assert table[name] == row[f"val/{name}"], name
    assert table["step"] == row["step"]


def test_best_is_the_default_and_equals_what_training_wrote(copy, job, capfd):
    rows = validation(copy)
    best = max(rows.values(), key=lambda row: (row["val/top1"], -row["step"]))
    table = evaluate(job, copy)
    assert_equal(table, best)
    message = capfd.readouterr().err
    assert (
        f"validation at step {best['step']}: top-1 {100 * best['val/top1']:.1f} %" in message
        and "11 clips" in message
    )
    # the table agrees with itself
    hits = sum(clip["top5"][0] == clip["label"] for clip in table["clips"])
    assert (
        table["top1"] == pytest.approx(hits / 11)
        and len(table["clips"]) == table["num_clips"] == 11
    )
    assert (
        sum(map(sum, table["confusion"])) == 11
        and sum(r[i] for i, r in enumerate(table["confusion"])) == hits
    )
    assert table["loss"] == pytest.approx(
        sum(clip["loss"] for clip in table["clips"]) / 11, rel=1e-5
    )


def test_latest_and_a_step(copy, job):
    last = validation(copy)[40]
    assert_equal(evaluate(job, copy, "--checkpoint", "latest"), last)
    assert_equal(evaluate(job, copy, "--checkpoint", "40"), last)
    assert evaluate(job, copy, "--checkpoint", "39")["step"] == 39


def test_another_split_and_another_batch(copy, job):
    table = evaluate(job, copy, split="train")
    assert table["num_clips"] == 24 == len({clip["id"] for clip in table["clips"]})
    other = evaluate(job, copy, "--config.batch_size=5", split="train")
    assert other["confusion"] == table["confusion"] and other["loss"] == pytest.approx(
        table["loss"], rel=1e-5
    )


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
