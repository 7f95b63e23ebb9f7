"""The page: Run and pictures -> one HTML text that needs no other file, no network and no script."""

from __future__ import annotations

import json
import math
import shlex
from datetime import UTC, datetime
from html import escape
from statistics import median
from typing import Any

from vidjax.report.markup import (
    BADGE,
    code,
    count,
    count_text,
    percent,
    picture,
    table,
    text,
    unknown,
)
from vidjax.report.page_evaluation import classes, confusion, mistakes
from vidjax.report.page_style import STYLE
from vidjax.report.read import Run, as_dict, number
from vidjax.report.scores import (
    best_validation,
    validations,
    wilson_interval,
)

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def build_page(
    run: Run, pictures: dict[str, bytes], *, dark: dict[str, bytes], strips: dict[str, bytes]
) -> str:
    """HTML of the report. `pictures` and `dark`: file name -> PNG; `strips`: clip id -> JPEG."""
    badge = f" {BADGE}" if run.synthetic else ""
    sections = [
        header(run, badge),
        "".join(f'<p class="note">{escape(problem)}</p>' for problem in run.problems),
        results(run, badge),
        facts(run),
        curves(run, pictures, dark, badge),
    ]
    if run.evaluation:
        sections += [
            confusion(run, pictures, dark, badge),
            mistakes(run.evaluation, strips, badge),
            classes(run.evaluation, badge),
        ]
    sections += [config_table(run.config), footer()]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<title>{escape(run.name)}, a vidjax report</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n</head>\n"
    )
    return (
        head
        + "<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


def header(run: Run, badge: str) -> str:
    model, about = model_name(run.config), str(run.data.get("about") or "")
    lead = ". ".join(part.rstrip(".") for part in (model, about) if part)
    return f'<header><h1>{escape(run.name)}{badge}</h1>\n<p class="lead">{escape(lead)}{"." if lead else ""}</p></header>'


def model_name(config: dict[str, Any]) -> str:
    model = as_dict(config.get("model"))
    name, variant = str(model.get("name") or ""), str(model.get("variant") or "")
    return f"{name}, variant {variant}" if name and variant else name or variant


def results(run: Run, badge: str) -> str:
    """The headline numbers, of the evaluation or else the last validation; then all of them as a table."""
    rows = score_rows(run)
    missing = "" if run.evaluation else no_evaluation(run)
    if not rows:
        return f"<section><h2>Results</h2>\n{missing}</section>"
    name, step, scores = rows[0]
    tiles = [tile("top-1", percent(scores["top1"]), interval(scores["top1"], scores["num_clips"]))]
    tiles.append(tile("top-5", percent(scores["top5"])))
    tiles.append(tile("mean per class", percent(scores["mean_class"])))
    tiles.append(
        tile(
            "clips",
            count(scores["num_clips"]),
            f"{name}{'' if step is None else f', step {step:,}'}",
        )
    )
    heads = ("", "step", "top-1", "top-5", "mean per class", "loss", "clips")
    body = [
        (name, "–" if step is None else f"{step:,}", *score_cells(scores))
        for name, step, scores in rows
    ]
    shown = f'<dl class="tiles">{"".join(tiles)}</dl>\n{table(heads, body)}'
    return f"<section><h2>Results{badge}</h2>\n{shown}\n{missing}</section>"


def score_rows(run: Run) -> list[tuple[str, int | None, dict[str, float]]]:
    """(name, step, scores) of the evaluation, the last validation of the training, and the best."""
    rows = []
    if run.evaluation:
        scores = {**run.evaluation.scores, "num_clips": run.evaluation.num_clips}
        rows.append((f"evaluation, {run.split}", run.evaluation.step, scores))
    lines = validations(run)
    for name, line in (
        ("last validation in training", lines[-1:]),
        ("best validation in training", [best_validation(run)]),
    ):
        if lines:
            keys = ("loss", "top1", "top5", "mean_class", "num_clips")
            rows.append(
                (name, line[0]["step"], {key: number(line[0].get(f"val/{key}")) for key in keys})
            )
    return rows


def score_cells(scores: dict[str, float]) -> tuple[str, ...]:
    loss = "–" if math.isnan(scores["loss"]) else f"{scores['loss']:.4f}"
    parts = [percent(scores[key]) for key in ("top1", "top5", "mean_class")]
    return (*parts, loss, count(scores["num_clips"]))


def tile(name: str, value: str, note: str = "") -> str:
    small = f"<small>{escape(note)}</small>" if note else ""
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>"


def interval(fraction: float, num_clips: float) -> str:
    if not (0 <= fraction <= 1 and num_clips >= 1):
        return ""
    low, high = wilson_interval(fraction, int(num_clips))
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f}"


def no_evaluation(run: Run) -> str:
    return (
        f"<p>The {escape(run.split)} split has not been evaluated yet, so there are no confusion matrix, mistakes "
        f"and classes to show. This makes them:</p>\n<pre><code>{escape(evaluate_command(run))}</code></pre>"
    )


def evaluate_command(run: Run) -> str:
    """The command that evaluates this run, with the --config flags of the one that trained it."""
    try:
        words = shlex.split(str(run.env.get("command") or ""))
    except ValueError:  # an unclosed quote
        words = []
    flags = []
    for position, word in enumerate(words):
        if word.split("=")[0] == "--config" or word.startswith("--config."):
            flags += [word] if "=" in word else words[position : position + 2]
    flags = flags or ["--config", "configs/....py"]
    flags += [] if run.split == "validation" else ["--split", run.split]
    return shlex.join(
        ["python", "launch.py", *flags, "--job", "evaluate", "--workdir", str(run.workdir)]
    )


def facts(run: Run) -> str:
    """Where the run comes from: command, commit, data, machine."""
    env, data = run.env, run.data
    splits = ", ".join(
        f"{count(number(size))} {name}" for name, size in as_dict(data.get("splits")).items()
    )
    versions = ", ".join(
        f"{name} {version}" for name, version in as_dict(env.get("versions")).items()
    )
    devices = env.get("devices") if isinstance(env.get("devices"), list) else []
    processes = env.get("num_processes")
    system = (
        f"Python {env['python']}" if env.get("python") else "",
        str(env.get("platform") or ""),
    )
    rows = [
        ("command", code(env.get("command"))),
        ("commit", code(env.get("commit"))),
        ("started", text(env.get("started"))),
        ("data set", text(data.get("name")) + (f" {BADGE}" if run.synthetic else "")),
        ("classes", count_text(data.get("num_classes"))),
        ("clips", escape(splits) or unknown()),
        ("parameters", count_text(env.get("num_parameters"))),
        ("speed", speed(run)),
        (
            "devices",
            text(tally(devices))
            + (
                f" in {processes} processes" if isinstance(processes, int) and processes > 1 else ""
            ),
        ),
        ("versions", text(versions)),
        ("system", text(" on ".join(name for name in system if name))),
    ]
    body = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows if value)
    return f'<section><h2>The run</h2>\n<dl class="facts">{body}</dl></section>'


def speed(run: Run) -> str:
    """Medians over the log lines: the first ones hold the compilation."""
    clips, waiting = (run.series(f"train/{key}")[1] for key in ("clips_per_second", "data_wait"))
    parts = [f"{median(clips):,.4g} clips a second in training"] if clips.size else []
    parts += [f"{percent(median(waiting))} of the time waiting for data"] if waiting.size else []
    return ", ".join(parts)


def tally(names: list[Any]) -> str:
    """Equal names counted: ["cpu", "cpu"] -> "2 × cpu"."""
    names = [str(name) for name in names]
    parts = [(names.count(name), name) for name in dict.fromkeys(names)]
    return ", ".join(f"{times} × {name}" if times > 1 else name for times, name in parts)


def curves(run: Run, pictures: dict[str, bytes], dark: dict[str, bytes], badge: str) -> str:
    if "curves.png" not in pictures:
        return f"<section><h2>Training curves{badge}</h2>\n<p>Nothing is logged in metrics.jsonl yet.</p></section>"
    alt = "Loss, top-1 accuracy and learning rate over training steps"
    note = '<p class="quiet">Grey: training, as logged (pale) and smoothed, with augmentation. Blue: validation.</p>'
    shown = picture("curves.png", pictures, dark, alt, run)
    return f'<section><h2 class="unseen">Training curves{badge}</h2>\n{shown}\n{note}</section>'


def config_table(config: dict[str, Any]) -> str:
    if not config:
        return '<section><h2>Config</h2>\n<p class="quiet">config.json was not found.</p></section>'
    rows = ""
    for key, value in flatten(config):
        shown = escape(json.dumps(value, ensure_ascii=False))
        rows += (
            f'<tr><th scope="row"><code>{escape(key)}</code></th><td><code>{shown}</code></td></tr>'
        )
    body = f'<div class="wide"><table id="config"><tbody>{rows}</tbody></table></div>'
    return (
        f"<section><h2>Config</h2>\n<details><summary>All keys</summary>{body}</details></section>"
    )


def flatten(config: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """{"a": {"b": 1}} -> [("a.b", 1)], in the file's order."""
    pairs = []
    for key, value in config.items():
        nested = isinstance(value, dict) and value
        pairs += flatten(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", value)]
    return pairs


def footer() -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<footer>Made by vidjax from the files of the work folder, {made}.</footer>"
