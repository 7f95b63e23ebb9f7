"""The report of a synthetic work folder: numbers, pictures, and what may be missing."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.report.folders import (
    CLASSES,
    FRAMES,
    Page,
    change_section,
    correct_clip,
    make_workdir,
    page_of,
    pictures_of,
    write_json,
    write_lines,
)
from vidjax.core.errors import StorageError
from vidjax.report import ReportError, write_report
from vidjax.report.matrix import lay_out
from vidjax.report.theme import LIGHT, SCALE

PICTURES = ["confusion.png", "curves.png", "filmstrip.png", "mistakes.png"]


@pytest.fixture
def workdir(tmp_path):
    """A work folder to change."""
    return make_workdir(tmp_path / "run <1>")


@pytest.fixture
def bare(workdir):
    """A work folder to change, without evaluation."""
    shutil.rmtree(workdir / "evaluation")
    return workdir


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A work folder with its report, to look at only."""
    workdir = make_workdir(tmp_path_factory.mktemp("report") / "run <1>")
    write_report(workdir)
    return workdir


@pytest.fixture(scope="module")
def page(reported):
    return Page((reported / "report.html").read_text(encoding="utf-8"))


def test_numbers_are_those_of_the_files(page):
    assert page.row("evaluation, validation")[1:] == [
        "30",
        "76.0 %",
        "100.0 %",
        "80.0 %",
        "0.8765",
        "25",
    ]
    assert page.row("last validation in training")[1:] == [
        "30",
        "63.7 %",
        "100.0 %",
        "50.0 %",
        "1.2500",
        "25",
    ]
    assert page.row("best validation in training")[1:3] == ["10", "71.2 %"]
    assert page.row("seed") == ["seed", "7"]
    assert page.row("data.num_frames")[1] == str(FRAMES)
    for words in (
        "abc123",
        "jax 9.8.7",
        "2 × cpu",
        "1,234 train, 25 validation",
        "A synthetic set & nothing else",
    ):
        assert words in page.text


def test_page_needs_nothing_else(reported, page):
    links = [
        (tag, at.get(name))
        for tag, at in page.tags
        for name in ("src", "srcset", "href")
        if name in at
    ]
    assert {tag for tag, _ in links} == {"img", "source", "link"}
    assert all(link.startswith("data:") for _, link in links)
    assert not {"script", "iframe", "object"} & {tag for tag, _ in page.tags}
    text = (reported / "report.html").read_text(encoding="utf-8")
    assert (
        "http:" not in text
        and "https:" not in text
        and "@import" not in text
        and "url(" not in text
    )
    assert "prefers-color-scheme: dark" in text
    assert not list(reported.rglob("*.part"))


def test_names_are_escaped(page):
    assert not [tag for tag, _ in page.tags if tag not in html_tags()]
    assert page.row(CLASSES[0])[1:4] == ["10", "6", "60.0 %"]
    assert "run <1>" in page.text and "r3d<18>" in page.text
    alts = [at["alt"] for tag, at in page.tags if tag == "img"]
    assert f"Frames of clip clip_0: {CLASSES[0]}, taken for {CLASSES[1]}" in alts


def html_tags():
    """The tags that a page uses; any other would come from a name that was not escaped."""
    words = """html head meta title link style body header h1 h2 p span section dl div dt dd small
        table thead tbody tr th td code picture source img figure figcaption strong b i em
        details summary footer pre"""
    return set(words.split())


def test_synthetic_data_are_marked_everywhere(reported, page):
    badges = [at for tag, at in page.tags if at.get("class") == "badge"]
    assert len(badges) == sum(
        tag == "h2" for tag, _ in page.tags
    )  # all but "The run" and "Config", and title and data
    for name in PICTURES:
        with Image.open(reported / "report" / name) as image:
            assert image.text["Title"].endswith("(synthetic data)")
            assert count_color(image, LIGHT.chip) > 1000


def test_real_data_are_not_marked(workdir):
    env = json.loads((workdir / "env.json").read_text())
    env["data"] |= {"synthetic": False, "about": "Filmed, not synthetic."}
    write_json(workdir / "env.json", env)
    page = page_of(workdir)
    assert not [at for _, at in page.tags if at.get("class") == "badge"]
    for name in PICTURES:
        with Image.open(workdir / "report" / name) as image:
            assert "synthetic" not in image.text["Title"]
            assert count_color(image, LIGHT.chip) == 0


def count_color(image, color):
    wanted = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.abs(np.asarray(image.convert("RGB")).astype(int) - wanted).max(-1) <= 8).sum())


def test_pictures(reported):
    assert pictures_of(reported) == PICTURES
    for name, low, high in (
        ("curves.png", 2, 4),
        ("confusion.png", 0.7, 1.6),
        ("filmstrip.png", 2, 8),
        ("mistakes.png", 1, 2),
    ):
        with Image.open(reported / "report" / name) as image:
            image.load()
            assert image.format == "PNG" and image.mode == "P"
            assert low < image.width / image.height < high
            pixels = np.asarray(image.convert("RGB"))
        assert pixels.std() > 10
        assert (pixels[0] == 255).all() and (
            pixels[-1] == 255
        ).all()  # the paper is white to the edge
    with Image.open(reported / "report" / "filmstrip.png") as image:
        assert count_color(image, "#00fa00") > 150 * 150  # the last frame, enlarged
    with Image.open(reported / "report" / "curves.png") as image:
        assert count_color(image, LIGHT.right) > 500 and count_color(image, LIGHT.training) > 500


def test_confusion_colors(reported):
    place = lay_out(tuple(CLASSES))
    with Image.open(reported / "report" / "confusion.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    corner = [
        pixels[spot(place, i)[0], spot(place, j, "x")[0]]
        for i, j in ((2, 2), (0, 1), (2, 0), (0, 0))
    ]
    assert np.abs(corner[0] - [0x00, 0x69, 0xA6]).max() <= 8  # 5 of 5 right: the full blue
    assert corner[1][0] > corner[1][2] + 40  # a mistake: warm
    assert np.abs(corner[2] - [0xF1, 0xF3, 0xF5]).max() <= 8  # never predicted: empty
    assert corner[0][0] < corner[3][0] < corner[2][0]  # 60 % lies between


def spot(place, index, axis="y"):
    """Device pixel near the upper left corner of a cell, where no number is written."""
    start = place.top if axis == "y" else place.left
    return (round(start * SCALE) + index * place.cell + 4,)


def test_last_line_of_a_step_wins(bare):
    write_lines(bare, [{"step": 5, "val/top1": 0.1, "val/loss": 9.0}, {"step": 3, "val/top1": 0.2}])
    with open(bare / "metrics.jsonl", "a") as file:
        file.write('{"step": 5, "val/top1": 0.4321}\n')
    row = page_of(bare).row("last validation in training")
    assert row[1:3] == ["5", "43.2 %"] and row[5] == "9.0000"


def test_half_written_last_line(bare):
    with open(bare / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 31, "val/top1": 0.99, "val/lo\xe2')
    page = page_of(bare)
    assert page.row("last validation in training")[1] == "30"
    assert "half-written" in page.text


@pytest.mark.parametrize(
    "content", [None, "", "\n\n", '{"st', "[1]\nnull\n3\n", '{"step": 1, "val/top1": NaN}\n']
)
def test_metrics_without_a_number(bare, content):
    path = bare / "metrics.jsonl"
    path.unlink()
    if content is not None:
        path.write_text(content)
    page = page_of(bare)
    assert "Nothing is logged" in page.text
    assert not pictures_of(bare)


@pytest.mark.parametrize(
    "line", [{"train/loss": 2.0, "train/top1": 0.5}, {"train/loss": 0.0}, {"val/top1": 0.0}]
)
def test_curves_of_one_point(bare, line):
    write_lines(bare, [{"step": 0, **line}])
    write_report(bare)
    assert "curves.png" in pictures_of(bare)


def test_no_evaluation_yet(workdir):
    (workdir / "report").mkdir()
    (workdir / "report" / "mistakes.png").touch()  # of an earlier evaluation
    (workdir / "evaluation" / "validation.json").unlink()
    page = page_of(workdir)
    command = "python launch.py --job evaluate --workdir"
    assert f"{command} '{workdir}'" in page.text
    assert "63.7 %" in page.text  # the last validation takes the headline
    assert pictures_of(workdir) == ["curves.png"]


def test_other_split(workdir):
    page = page_of(workdir, split="test")
    assert (
        "The test split has not been evaluated yet" in page.text
        and "--job evaluate --workdir" in page.text
        and "--split test" in page.text
    )


@pytest.mark.parametrize(
    "content",
    ['{"classes": ["a"', "[]", '{"classes": ["a"], "scalars": []}', '{"step": 3, "sections": []}'],
)
def test_unusable_evaluation(workdir, content):
    (workdir / "evaluation" / "validation.json").write_text(content)
    text = page_of(workdir).text
    assert "has not been evaluated yet" in text and "validation.json" in text


def test_no_mistakes(workdir):
    change_section(workdir, "strips", clips=[correct_clip("clip_0")], note="Every clip is right.")
    change_section(workdir, "confusion", counts=np.diag([6, 8, 5]).tolist())
    page = page_of(workdir)
    assert "Every clip is right." in page.text and "None of the clips were confused" in page.text
    assert pictures_of(workdir) == ["confusion.png", "curves.png", "filmstrip.png"]


def test_mistakes_without_frames(workdir):
    for path in (workdir / "evaluation" / "validation").iterdir():
        path.unlink()
    page = page_of(workdir)
    assert "The frames of these clips were not saved" in page.text and "clip_5" in page.text
    assert pictures_of(workdir) == ["confusion.png", "curves.png"]


def test_only_metrics(tmp_path):
    write_lines(tmp_path, [{"step": 1, "train/loss": 1.0}])
    text = page_of(tmp_path).text
    assert (
        "not recorded" in text and "config.json was not found" in text and "--job evaluate" in text
    )


def test_scripts_that_the_font_lacks(workdir):
    path = workdir / "evaluation" / "validation.json"
    text = path.read_text()
    for name, other in zip(CLASSES, ["向左滑动", "ยกนิ้ว", "अन्य"], strict=True):
        text = text.replace(json.dumps(name), json.dumps(other))
    path.write_text(text)
    assert page_of(workdir).row("向左滑动")


def test_no_work_folder(tmp_path):
    with pytest.raises(ReportError, match="there is no work folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(ReportError, match="is not a work folder"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())
    assert ReportError.exit_code == 2


def test_work_folder_that_takes_no_files(bare):
    (bare / "report").touch()  # a file where a folder has to be
    with pytest.raises(StorageError, match="cannot be written") as caught:
        write_report(bare)
    assert caught.value.exit_code == 5
