"""Work folders for the tests of the report, written out here and called synthetic; a page parsed.

One is of a classification, one of a task with several labels a clip, which has no confusion matrix.
"""

import json
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from vidjax.report import write_report

FRAMES, SIDE = 6, 20
VOID = {"meta", "link", "img", "source", "br"}  # tags that never close

# Names that would break a page or a picture that took them as markup.
CLASSES = ["Swiping <Left>", 'Thumb "Up" & $x$', "No gesture"]
CONFUSION = [[6, 3, 1], [0, 8, 2], [0, 0, 5]]
TOP1 = {"name": "top1", "title": "top-1", "unit": "%", "of_clips": True}
SCALARS = [
    TOP1,
    {"name": "top5", "title": "top-5", "unit": "%", "of_clips": True},
    {"name": "mean_class", "title": "mean per class", "unit": "%"},
]
COLUMNS = [
    {"title": "class", "unit": ""},
    {"title": "clips", "unit": ""},
    {"title": "correct", "unit": ""},
    {"title": "accuracy", "unit": "%"},
    {"title": "most often taken for", "unit": ""},
]
ATTRIBUTES = ["flat <hand>", "two fingers", "left", "right", "up", "down"]


class Page(HTMLParser):
    """Collects tags, text and the cells of every table row; checks that tags nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.rows, self.open = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def row(self, name):
        return [row for row in self.rows if row and row[0] == name][-1]


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_lines(workdir, lines):
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_strip(workdir, name):
    """A strip whose frames run from dark to bright green, as evaluation/validation/<name>.png."""
    strip = np.zeros((SIDE, FRAMES * SIDE, 3), np.uint8)
    strip[..., 1] = np.repeat(np.linspace(40, 250, FRAMES).astype(np.uint8), SIDE)
    path = workdir / "evaluation" / "validation" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(strip).save(path)


def make_clips():
    """The wrong clips of CONFUSION, the highest loss first."""
    clips = []
    for true, row in enumerate(CONFUSION):
        for predicted, times in enumerate(row):
            if predicted == true:
                continue
            for _ in range(times):
                number = len(clips)
                order = [predicted, true, 3 - predicted - true]
                shares = [0.5 + 0.01 * number, 0.4 - 0.01 * number, 0.1]
                clip = {
                    "id": f"clip_{number}",
                    "strip": f"validation/clip_{number}.png",
                    "truth": CLASSES[true],
                    "answers": [[CLASSES[i], p] for i, p in zip(order, shares, strict=True)],
                    "loss": 1.0 + 0.1 * number,
                    "correct": False,
                }
                clips.insert(0, clip)
    return clips


def correct_clip(name):
    """A clip that was recognised."""
    return {
        "id": name,
        "strip": f"validation/{name}.png",
        "truth": CLASSES[0],
        "answers": [[CLASSES[0], 0.9], [CLASSES[1], 0.1]],
        "loss": 0.1,
        "correct": True,
    }


def make_sections():
    """The sections of a classification: confusion matrix, worst mistakes, table of classes."""
    rows = []
    for index, name in enumerate(CLASSES):
        counts = CONFUSION[index]
        rows.append([name, sum(counts), counts[index], counts[index] / sum(counts), ""])
    return [
        {"kind": "confusion", "title": "Confusion matrix", "counts": CONFUSION},
        {
            "kind": "strips",
            "title": "Worst mistakes",
            "note": "6 of 6 wrong clips, the highest loss first.",
            "clips": make_clips(),
        },
        {"kind": "table", "title": "Classes", "columns": COLUMNS, "rows": rows},
    ]


def write_run(workdir, *, task):
    """config.json and env.json of a run on synthetic data."""
    config = {"seed": 7, "model": {"name": "r3d<18>"}, "data": {"num_frames": FRAMES}}
    write_json(workdir / "config.json", config)
    data = {
        "name": "gestures",
        "about": "A synthetic set & nothing else.",
        "synthetic": True,
        "num_classes": 3,
        "splits": {"train": 1234, "validation": 25},
    }
    env = {
        "command": "python launch.py --config configs/tiny.py --config.seed=7 --workdir 'run <1>'",
        "commit": "abc123",
        "versions": {"jax": "9.8.7"},
        "devices": ["cpu", "cpu"],
        "data": data,
        "task": task,
    }
    write_json(workdir / "env.json", env)


def make_workdir(workdir):
    """A complete work folder of a classification."""
    curves = [{**TOP1, "chance": 1 / 3}]
    task = {"name": "classification", "curves": curves, "best": "top1", "scalars": SCALARS}
    write_run(workdir, task=task)
    lines = []
    for step in range(1, 31):
        values = {"train/loss": 3 / step, "train/top1": step / 40, "train/learning_rate": 0.1}
        lines.append({"step": step, **values})
    scores = {"val/top5": 1.0, "val/mean_class": 0.5, "val/num_clips": 25}
    lines.append({"step": 10, "val/loss": 1.5, "val/top1": 0.7125, **scores})
    lines.append({"step": 30, "val/loss": 1.25, "val/top1": 0.6375, **scores})
    write_lines(workdir, lines)

    values = {"top1": 0.76, "top5": 1.0, "mean_class": 0.8}
    scalars = [{**scalar, "value": values[scalar["name"]]} for scalar in SCALARS]
    scalars.append({"name": "loss", "title": "loss", "unit": "", "value": 0.87654})
    evaluation = {
        "task": "classification",
        "split": "validation",
        "step": 30,
        "num_clips": 25,
        "classes": CLASSES,
        "scalars": scalars,
        "sections": make_sections(),
    }
    write_json(workdir / "evaluation" / "validation.json", evaluation)
    for clip in make_clips():
        write_strip(workdir, clip["id"])
    return workdir


def make_multilabel_workdir(workdir):
    """A complete work folder of a task with several labels a clip."""
    scalars = [
        {"name": "map", "title": "mean average precision", "unit": "%"},
        {"name": "subset", "title": "all attributes right", "unit": "%", "of_clips": True},
    ]
    curves = [scalars[1], scalars[0]]
    task = {"name": "multilabel", "curves": curves, "best": "map", "scalars": scalars}
    write_run(workdir, task=task)
    lines = []
    for step in range(1, 31):
        values = {"train/loss": 0.7 - step / 60, "train/subset": step / 50}
        lines.append({"step": step, **values, "train/learning_rate": 0.1 - step / 400})
    for step in (10, 20, 30):
        values = {"val/loss": 0.6 - step / 90, "val/subset": step / 60, "val/map": step / 45}
        lines.append({"step": step, **values, "val/num_clips": 25})
    write_lines(workdir, lines)

    clips = []
    for number, truth in enumerate((["two fingers", "left"], ["flat <hand>", "up"], [])):
        answers = [["two fingers", 0.9], ["left", 0.6 - 0.2 * number], ["down", 0.2], ["up", None]]
        clip = {"id": str(number), "strip": f"validation/{number}.png", "truth": truth}
        clips.append({**clip, "answers": answers, "loss": 2.0 - number, "correct": number == 0})
        write_strip(workdir, str(number))
    columns = [
        {"title": "attribute", "unit": ""},
        {"title": "clips", "unit": ""},
        {"title": "average precision", "unit": "%"},
        {"title": "recall", "unit": "%"},
        {"title": "delay", "unit": "s"},
    ]
    rows = []
    for number, name in enumerate(ATTRIBUTES):
        rows.append([name, 1200 * number, 0.4 + 0.1 * number, 0.9 - 0.1 * number, 0.25])
    rows[0][2:] = [None, None, None]  # an attribute that no clip has
    sections = [
        {
            "kind": "strips",
            "title": "Clips with the highest loss",
            "note": "3 of 25 clips, the highest loss first.",
            "clips": clips,
        },
        {"kind": "table", "title": "Attributes, worst first", "columns": columns, "rows": rows},
    ]
    evaluation = {
        "task": "multilabel",
        "split": "validation",
        "step": 30,
        "num_clips": 25,
        "classes": ATTRIBUTES,
        "scalars": [{**scalars[0], "value": 0.667}, {**scalars[1], "value": 0.52}],
        "sections": sections,
    }
    write_json(workdir / "evaluation" / "validation.json", evaluation)
    return workdir


def change_evaluation(workdir, **changes):
    """Replaces entries of evaluation/validation.json."""
    path = workdir / "evaluation" / "validation.json"
    write_json(path, json.loads(path.read_text()) | changes)


def change_section(workdir, kind, **changes):
    """Replaces entries of the section of that kind."""
    path = workdir / "evaluation" / "validation.json"
    evaluation = json.loads(path.read_text())
    (section,) = [section for section in evaluation["sections"] if section["kind"] == kind]
    section.update(changes)
    write_json(path, evaluation)


def page_of(workdir, **options):
    """Writes the report and parses its page."""
    return Page(write_report(workdir, **options).read_text(encoding="utf-8"))


def pictures_of(workdir):
    """The names of the report's pictures."""
    return sorted(path.name for path in (workdir / "report").iterdir())
