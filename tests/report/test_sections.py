"""The generic sections: tables, clips, confused pairs, a task without a confusion matrix."""

import math

import numpy as np
import pytest
from PIL import Image

from tests.report.folders import (
    ATTRIBUTES,
    CLASSES,
    FRAMES,
    change_evaluation,
    change_section,
    make_clips,
    make_multilabel_workdir,
    make_sections,
    make_workdir,
    page_of,
    pictures_of,
    write_strip,
)
from vidjax.report import sections
from vidjax.report.clips import Answer, Clip, poster_clip, read_clips
from vidjax.report.read import read_run
from vidjax.report.sections.confusion import confused_pairs


@pytest.fixture
def workdir(tmp_path):
    """A work folder to change."""
    return make_workdir(tmp_path / "run <1>")


def section_page(workdir, *listed):
    change_evaluation(workdir, sections=list(listed))
    return page_of(workdir)


def test_a_kind_is_a_file():
    assert {"confusion", "strips", "table"} <= set(sections.kinds())


def test_unknown_kinds_are_named_and_passed_over(workdir):
    unknown = {"kind": "time<line>", "title": "When & where", "data": [1, 2]}
    page = section_page(workdir, unknown, {"title": "?"}, *make_sections())
    sentence = (
        "The section “When & where” is of the kind 'time<line>', which this report cannot show"
    )
    assert sentence in page.text and "of the kind ''" in page.text
    assert page.row(CLASSES[0])
    assert "confusion.png" in pictures_of(workdir)


@pytest.mark.parametrize(
    "kind, changes, reason",
    [
        ("confusion", {"counts": [[1, 2], [3, 4]]}, "its counts are not 3 rows of 3 numbers"),
        ("confusion", {"counts": [[1, 2, "x"]] * 3}, "its counts are not 3 rows of 3 numbers"),
        ("confusion", {"counts": [[1, 2, None], 3, 4]}, "its counts are not 3 rows"),
        ("confusion", {"counts": [[1, 2, math.inf]] * 3}, "its counts are not 3 rows"),
        ("confusion", {"counts": [[1, 2, -1]] * 3}, "its counts are not 3 rows"),
        ("table", {"columns": None}, "it has no columns"),
        ("table", {"rows": [["a", 1]]}, "a row has 2 cells for 5 columns"),
    ],
)
def test_content_that_is_no_section(workdir, kind, changes, reason):
    change_section(workdir, kind, **changes)
    run = read_run(workdir)
    (section,) = [section for section in run.evaluation.sections if section["kind"] == kind]
    drawn = sections.draw(section, run)
    assert f"cannot be shown: {reason}" in drawn.html and not drawn.pictures


def test_a_bad_section_does_not_hide_the_others(workdir):
    change_section(workdir, "confusion", counts=[[1]])
    page = page_of(workdir)
    assert "The section “Confusion matrix” cannot be shown" in page.text
    assert page.row(CLASSES[0])
    assert pictures_of(workdir) == ["curves.png", "filmstrip.png", "mistakes.png"]


def test_a_table_is_shown_by_its_columns(workdir):
    columns = [{"title": "part"}, {"title": "share", "unit": "%"}, {"title": "time", "unit": "s"}]
    columns += [{"title": "other share", "unit": "%"}, {"title": "count"}, {"title": "remark"}]
    rows = [["<b>", 0.125, 1.5, 0.5, 1234, "x & y"], ["b", None, None, None, None, None]]
    table = {"kind": "table", "title": "Parts", "columns": columns, "rows": rows}
    page = section_page(workdir, table)
    # The bar of the first share is a cell without text.
    assert page.row("<b>") == ["<b>", "12.5 %", "", "1.5000 s", "50.0 %", "1,234", "x & y"]
    assert page.row("b") == ["b", "–", "", "–", "–", "–", "–"]
    assert [at["style"] for tag, at in page.tags if tag == "i"] == ["width:12.5%", "width:0.0%"]
    heads = [row for row in page.rows if row[0] == "part"]
    assert heads == [["part", "share", "", "time", "other share", "count", "remark"]]


@pytest.mark.parametrize("num_rows", [0, 60, 61])
def test_long_tables_are_folded(workdir, num_rows):
    rows = [[f"row {at}"] for at in range(num_rows)]
    page = section_page(workdir, {"kind": "table", "columns": [{"title": "name"}], "rows": rows})
    assert ("61 rows" in page.text) == (num_rows == 61)
    assert ("has no rows" in page.text) == (num_rows == 0)


def test_a_task_without_a_confusion_matrix(tmp_path):
    workdir = make_multilabel_workdir(tmp_path / "several labels")
    page = page_of(workdir)
    assert pictures_of(workdir) == ["curves.png", "filmstrip.png", "mistakes.png"]
    assert not [problem for _, problem in page.tags if problem.get("class") == "note"]
    assert "mean average precision" in page.text and "66.7 %" in page.text
    assert page.row("evaluation, validation")[1:] == ["30", "66.7 %", "52.0 %", "–", "25"]
    assert page.row("best validation in training")[1] == "30"
    assert page.row(ATTRIBUTES[0]) == [ATTRIBUTES[0], "0", "–", "", "–", "–"]
    assert page.row("down")[1:] == ["6,000", "90.0 %", "", "40.0 %", "0.2500 s"]
    alts = [at["alt"] for tag, at in page.tags if tag == "img"]
    assert "Loss, all attributes right, mean average precision and learning rate" in alts[0]
    assert alts[1:] == [
        "Frames of clip 0: two fingers, left, recognised",
        "Frames of clip 1: flat <hand>, up, taken for two fingers",
        "Frames of clip 2: none of the labels, taken for two fingers",
    ]
    for word in ("top1", "top-1", "accuracy", "classes, worst"):
        assert word not in page.text


def test_every_true_answer_is_marked(tmp_path):
    run = read_run(make_multilabel_workdir(tmp_path / "several labels"))
    clips = read_clips(run.evaluation.sections[0]["clips"], run)
    kinds = [[answer.kind for answer in clip.answers] for clip in clips]
    assert kinds[0] == ["true", "true", "other", "other"]
    assert kinds[1] == ["false", "other", "other", "true"]


def test_a_first_answer_that_is_one_of_several():
    answers = (Answer("a", 0.9, "true"),)
    clip = Clip("1", ("a", "b"), answers, loss=1.0, correct=False, frames=())
    assert clip.verdict == "recognised in part"


def test_two_sections_of_a_kind_have_two_pictures(workdir):
    strips = make_sections()[1]
    section_page(workdir, strips, strips)
    names = ["filmstrip-2.png", "filmstrip.png", "mistakes-2.png", "mistakes.png"]
    assert [name for name in pictures_of(workdir) if "curves" not in name] == names


def frames_of(workdir, strip):
    """The frames of a clip with that strip."""
    run = read_run(workdir)
    clip = make_clips()[0] | {"strip": strip}
    return read_clips([clip], run)[0].frames


def test_a_strip_does_not_lead_out_of_the_folder(workdir):
    Image.new("RGB", (40, 20)).save(workdir / "secret.png")
    (workdir / "evaluation" / "secret.png").symlink_to(workdir / "secret.png")
    for strip in ("../secret.png", str(workdir / "secret.png"), "secret.png", "", ".", None):
        assert frames_of(workdir, strip) == ()


def test_strips_below_folders_and_broken_ones(workdir):
    write_strip(workdir, "sub/one")
    assert len(frames_of(workdir, "validation/sub/one.png")) == FRAMES
    path = workdir / "evaluation" / "validation" / "two.png"
    path.write_bytes((workdir / "evaluation/validation/sub/one.png").read_bytes()[:60])
    assert frames_of(workdir, "validation/two.png") == ()
    # the length of the first chunk is cut, for which Pillow has an error of another kind
    damaged = bytearray((workdir / "evaluation/validation/sub/one.png").read_bytes())
    damaged[8:12] = (3).to_bytes(4, "big")
    path.write_bytes(damaged)
    assert frames_of(workdir, "validation/two.png") == ()
    assert frames_of(workdir, "validation/\0.png") == ()


def test_clips_without_label_are_neither_right_nor_wrong(workdir):
    clips = [{**make_clips()[0], "truth": None}, {"truth": "no id"}, "no clip"]
    change_section(workdir, "strips", clips=clips)
    assert "lists no clips" in page_of(workdir).text
    assert "mistakes.png" not in pictures_of(workdir)


def make_clip(name, **changes):
    """A clip with frames that was taken for b with a share of 0.9."""
    clip = {"loss": 1.0, "correct": False, "share": 0.9, "frames": (Image.new("RGB", (4, 4)),)}
    clip |= changes
    answers = (Answer("b", clip.pop("share"), "false"),)
    return Clip(name, ("a",), answers, **clip)


def test_the_clip_of_the_poster():
    sure = make_clip("sure", loss=3.0)
    worst = make_clip("worst", loss=5.0, share=0.6)
    lost = make_clip("lost", loss=9.0, share=0.99, frames=())
    unmeasured = make_clip("unmeasured", loss=math.nan, share=math.nan)
    right = make_clip("right", loss=6.0, correct=True)
    easy = make_clip("easy", loss=0.1, correct=True)
    assert poster_clip([worst, unmeasured, lost, right, sure]).id == "sure"
    assert poster_clip([easy, right, lost]).id == "right"
    assert poster_clip([lost]) is None


def test_confused_pairs_against_numpy():
    counts = np.random.default_rng(3).integers(0, 9, (12, 12))
    classes = [f"class {index}" for index in range(12)]
    pairs = confused_pairs(counts, classes, limit=9)
    wrong = counts - np.diag(np.diag(counts))
    assert [pair.count for pair in pairs] == sorted(wrong.ravel())[::-1][:9]
    for pair in pairs:
        row, column = classes.index(pair.truth), classes.index(pair.answer)
        assert (pair.count, pair.total) == (wrong[row, column], counts[row].sum())
    assert confused_pairs(np.diag([1, 2]), classes) == []
