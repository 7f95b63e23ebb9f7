"""A work folder's files become a Run: what can be read, and a sentence about what cannot."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidjax.core.errors import ReportError
from vidjax.report.values import as_dict, as_list, count, number

# A folder with one of these is a work folder.
MARKS = ("config.json", "env.json", "metrics.jsonl", "evaluation")


@dataclass(frozen=True)
class Scalar:
    """A number that a task measures, and how it is shown."""

    name: str  # as in metrics.jsonl, behind "train/" or "val/"
    title: str  # for people
    unit: str = ""  # "%" for a share in 0..1, "" for a number that has no unit
    of_clips: bool = False  # whether it is a share of all clips, which then has a known error
    chance: float = math.nan  # what a uniform guess would reach; NaN where nobody says
    value: float = math.nan  # in an evaluation


LOSS = Scalar("loss", "loss")  # what every task measures


@dataclass(frozen=True)
class Evaluation:
    """The content of evaluation/<split>.json."""

    split: str
    step: int | None
    num_clips: float  # NaN where the file does not say
    classes: tuple[str, ...]
    scalars: tuple[Scalar, ...]  # in the order in which they are shown
    sections: tuple[dict[str, Any], ...]  # as they are in the file; see sections/

    def values(self) -> dict[str, float]:
        """The value of each scalar by its name."""
        return {scalar.name: scalar.value for scalar in self.scalars}


@dataclass(frozen=True)
class Run:
    """All that a report shows of a work folder."""

    workdir: Path
    split: str
    config: dict[str, Any]
    env: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]  # one entry a step, in the order of the steps
    evaluation: Evaluation | None
    problems: tuple[str, ...]  # sentences for the reader

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.workdir.resolve().name

    @property
    def is_fused(self) -> bool:
        """Whether the folder is an evaluation of several runs, which has no training of its own."""
        return (self.workdir / "fusion.json").exists()

    @property
    def data(self) -> dict[str, Any]:
        """What env.json says about the data."""
        return as_dict(self.env.get("data"))

    @property
    def task(self) -> dict[str, Any]:
        """What env.json says about the task."""
        return as_dict(self.env.get("task"))

    @property
    def synthetic(self) -> bool:
        """Whether the clips are synthetic, so that every picture has to say so."""
        flag = self.data.get("synthetic")
        if isinstance(flag, bool):
            return flag
        # A data set without the flag may still say it in its sentence.
        return "synthetic" in str(self.data.get("about", "")).lower()

    @property
    def num_frames(self) -> int | None:
        """How many frames a clip had in this run."""
        value = as_dict(self.config.get("data")).get("num_frames")
        if isinstance(value, int) and value > 0:
            return value
        return None

    @property
    def curves(self) -> tuple[Scalar, ...]:
        """The scalars that are drawn over the steps, the loss aside."""
        return read_scalars(self.task.get("curves"))

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """Which scalars the results list, in their order, with the loss at the end."""
        # An evaluation file lists them. Before there is one, env.json has their names.
        if self.evaluation:
            scalars = self.evaluation.scalars
        else:
            scalars = read_scalars(self.task.get("scalars")) or self.curves
        others = tuple(scalar for scalar in scalars if scalar.name != LOSS.name)
        return (*others, LOSS)

    @property
    def subtitle(self) -> str:
        """The quiet line of an evaluation's picture: which run, split and step, how many clips."""
        if self.evaluation is None:
            return self.name
        line = f"{self.name}, {count(self.evaluation.num_clips)} {self.split} clips"
        if self.evaluation.step is not None:
            line += f" at step {self.evaluation.step:,}"
        return line

    def series(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps int64 [S] and finite values float64 [S] of one scalar of metrics.jsonl."""
        steps, values = [], []
        for line in self.metrics:
            value = number(line.get(key))
            if math.isfinite(value):
                steps.append(line["step"])
                values.append(value)
        return np.array(steps, np.int64), np.array(values, np.float64)


def read_run(workdir: str | Path, *, split: str = "validation") -> Run:
    """Reads a work folder; damaged files become `problems`. Raises ReportError without a folder."""
    workdir = Path(workdir)
    if not workdir.is_dir():
        raise ReportError(
            f"there is no work folder {workdir}: name one that a training or an evaluation wrote."
        )
    if not any((workdir / mark).exists() for mark in MARKS):
        raise ReportError(f"{workdir} is not a work folder: it has none of {', '.join(MARKS)}.")

    problems: list[str] = []
    config = read_json(workdir / "config.json", problems)
    env = read_json(workdir / "env.json", problems)
    metrics = read_metrics(workdir / "metrics.jsonl", problems)
    evaluation = read_evaluation(workdir / "evaluation" / f"{split}.json", problems)
    return Run(
        workdir=workdir,
        split=split,
        config=as_dict(config),
        env=as_dict(env),
        metrics=metrics,
        evaluation=evaluation,
        problems=tuple(problems),
    )


def read_json(path: Path, problems: list[str]) -> Any:
    """The file's value; None where it is absent or, with a line in `problems`, is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{path.name} could not be read: {error}.")
        return None


def read_metrics(path: Path, problems: list[str]) -> tuple[dict[str, Any], ...]:
    """The lines of metrics.jsonl, merged by step, in the order of the steps."""
    try:
        # A line of a killed run can end inside a character.
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return ()
    except OSError as error:
        problems.append(f"{path.name} could not be read: {error}.")
        return ()

    # A resumed run writes the steps after its checkpoint again: the later line wins.
    entries: dict[int, dict[str, Any]] = {}
    bad = []
    for position, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            entries.setdefault(int(entry["step"]), {}).update(entry)
        except (ValueError, TypeError, KeyError, OverflowError):
            bad.append(position)

    if bad == [len(lines)]:
        problems.append(
            f"The last line of {path.name} is half-written, as a killed run leaves it; "
            "it was left out."
        )
    elif bad:
        problems.append(
            f"{len(bad)} of the lines of {path.name} could not be read, the first is line {bad[0]}."
        )
    return tuple({**entries[step], "step": step} for step in sorted(entries))


def read_evaluation(path: Path, problems: list[str]) -> Evaluation | None:
    """The evaluation of one split; None where there is no usable file."""
    raw = read_json(path, problems)
    if raw is None:
        return None
    content = as_dict(raw)
    for key in ("scalars", "sections"):
        if not isinstance(content.get(key), list):
            problems.append(
                f"evaluation/{path.name} is not an evaluation: it has no list {key!r}. "
                "Run the evaluate job again."
            )
            return None

    step = content.get("step")
    if not isinstance(step, int):
        step = None
    return Evaluation(
        split=path.stem,
        step=step,
        num_clips=number(content.get("num_clips")),
        classes=tuple(map(str, as_list(content.get("classes")))),
        scalars=read_scalars(content["scalars"]),
        sections=tuple(map(as_dict, content["sections"])),
    )


def read_scalars(raw: Any) -> tuple[Scalar, ...]:
    """A list of scalars of env.json or an evaluation file; entries without a name are left out."""
    scalars = []
    for entry in map(as_dict, as_list(raw)):
        name = str(entry.get("name") or "")
        if not name:
            continue
        scalar = Scalar(
            name=name,
            title=str(entry.get("title") or name),
            unit=str(entry.get("unit") or ""),
            of_clips=entry.get("of_clips") is True,
            chance=number(entry.get("chance")),
            value=number(entry.get("value")),
        )
        scalars.append(scalar)
    return tuple(scalars)
