"""Work folder -> Run, a plain dataclass: whatever can be read, and a sentence for whatever cannot."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vidjax.core.errors import ReportError

MARKS = ("config.json", "env.json", "metrics.jsonl", "evaluation")


@dataclass(frozen=True)
class Clip:
    """One evaluated clip: its class index, the best classes with their probabilities, its frames if they were saved."""

    id: str
    label: int
    top5: tuple[int, ...]
    probabilities: tuple[float, ...]
    loss: float
    strip: Path | None

    @property
    def is_mistake(self) -> bool:
        return self.top5[0] != self.label


@dataclass(frozen=True)
class Evaluation:
    """evaluation/<split>.json; `confusion` is int64 [num_classes, num_classes], row = true, column = predicted."""

    split: str
    step: int | None
    num_clips: int
    scores: dict[str, float]  # loss, top1, top5, mean_class; NaN where the file has none
    classes: tuple[str, ...]
    confusion: np.ndarray
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class Run:
    """All that a report shows. `metrics`: one dict a step, sorted; `problems`: sentences for the reader."""

    workdir: Path
    split: str
    config: dict[str, Any]
    env: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]
    evaluation: Evaluation | None
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.workdir.resolve().name

    @property
    def data(self) -> dict[str, Any]:
        return as_dict(self.env.get("data"))

    @property
    def synthetic(self) -> bool:
        """Whether the data set says it is synthetic, by its flag or, in an env.json without one, by its sentence."""
        flag = self.data.get("synthetic")
        return (
            flag
            if isinstance(flag, bool)
            else "synthetic" in str(self.data.get("about", "")).lower()
        )

    @property
    def num_frames(self) -> int | None:
        value = as_dict(self.config.get("data")).get("num_frames")
        return value if isinstance(value, int) and value > 0 else None

    def series(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps int64 [S] and finite values float64 [S] of one scalar of metrics.jsonl."""
        points = [(line["step"], number(line.get(key))) for line in self.metrics]
        points = [(step, value) for step, value in points if math.isfinite(value)]
        return np.array([p[0] for p in points], np.int64), np.array(
            [p[1] for p in points], np.float64
        )


def read_run(workdir: str | Path, *, split: str = "validation") -> Run:
    """Read a work folder. Raises ReportError where there is none; damaged files become `problems`."""
    workdir = Path(workdir)
    if not workdir.is_dir():
        raise ReportError(
            f"there is no work folder {workdir}: name one that a training or an evaluation wrote."
        )
    if not any((workdir / mark).exists() for mark in MARKS):
        raise ReportError(f"{workdir} is not a work folder: it has none of {', '.join(MARKS)}.")
    problems: list[str] = []
    config = as_dict(read_json(workdir / "config.json", problems))
    env = as_dict(read_json(workdir / "env.json", problems))
    metrics = read_metrics(workdir / "metrics.jsonl", problems)
    evaluation = read_evaluation(workdir / "evaluation", split, problems)
    return Run(workdir, split, config, env, metrics, evaluation, tuple(problems))


def read_json(path: Path, problems: list[str]) -> Any:
    """The file's value; None and, if the file is there, a line in `problems` where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{path.name} could not be read: {error}.")
        return None


def read_metrics(path: Path, problems: list[str]) -> tuple[dict[str, Any], ...]:
    """Lines merged by step, the later line winning: a resumed run writes the steps after its checkpoint again."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return ()
    except OSError as error:
        problems.append(f"{path.name} could not be read: {error}.")
        return ()
    steps: dict[int, dict[str, Any]] = {}
    bad = []
    for position, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            steps.setdefault(int(entry["step"]), {}).update(entry)
        except (ValueError, TypeError, KeyError, OverflowError):
            bad.append(position)
    if bad == [len(lines)]:
        problems.append(
            f"The last line of {path.name} is half-written, as a killed run leaves it; it was left out."
        )
    elif bad:
        problems.append(
            f"{len(bad)} of the lines of {path.name} could not be read, the first is line {bad[0]}."
        )
    return tuple({**steps[step], "step": step} for step in sorted(steps))


def read_evaluation(folder: Path, split: str, problems: list[str]) -> Evaluation | None:
    """evaluation/<split>.json and the paths of its strips; None where there is no usable file."""
    raw = read_json(folder / f"{split}.json", problems)
    if raw is None:
        return None
    try:
        classes = tuple(str(name) for name in raw["classes"])
        confusion = np.array(raw["confusion"], np.int64).reshape(len(classes), len(classes))
        scores = {key: number(raw.get(key)) for key in ("loss", "top1", "top5", "mean_class")}
        clips = raw.get("clips") or ()
        strips = find_strips(folder / split, [str(clip["id"]) for clip in clips])
        clips = [read_clip(clip, strips, len(classes)) for clip in clips]
        step = raw.get("step")
        step = step if isinstance(step, int) else None
        num_clips = int(raw.get("num_clips", confusion.sum()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problems.append(
            f"evaluation/{split}.json is not an evaluation ({error!r}); run the evaluate job again."
        )
        return None
    return Evaluation(
        split, step, num_clips, scores, classes, confusion, tuple(clip for clip in clips if clip)
    )


def find_strips(folder: Path, ids: list[str]) -> dict[str, Path]:
    """Clip id -> strip, under its whole id or, where no other clip ends so, under the id's last part."""
    # by what lies there, not by what the ids say: an id with "../" leads nowhere
    found = {
        path.relative_to(folder).as_posix().removesuffix(".png"): path
        for path in folder.rglob("*.png")
    }
    last = {name: PurePosixPath(name).name for name in ids}
    times = Counter(last.values())
    strips = {
        name: found.get(name) or (found.get(last[name]) if times[last[name]] == 1 else None)
        for name in ids
    }
    return {name: path for name, path in strips.items() if path}


def read_clip(raw: dict[str, Any], strips: dict[str, Path], num_classes: int) -> Clip | None:
    """One entry of `clips`; None for a clip without label or prediction, which is neither right nor wrong."""
    label, top5 = int(raw["label"]), tuple(int(index) for index in raw["top5"])
    if not top5 or not all(0 <= index < num_classes for index in (label, *top5)):
        return None
    probabilities = tuple(number(value) for value in raw.get("probabilities") or ())
    probabilities += (math.nan,) * (len(top5) - len(probabilities))
    return Clip(
        id=str(raw["id"]),
        label=label,
        top5=top5,
        probabilities=probabilities[: len(top5)],
        loss=number(raw.get("loss")),
        strip=strips.get(str(raw["id"])),
    )


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def number(value: Any) -> float:
    """A float, NaN for anything that is not a number."""
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    )
