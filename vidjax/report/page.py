"""The page: a Run and what was drawn of it become one HTML text.

It needs no other file, no network and no script. Its markup is templates/page.html.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vidjax.report.facts import evaluate_command, facts
from vidjax.report.markup import render_file
from vidjax.report.read import Run
from vidjax.report.results import results, tiles
from vidjax.report.sections import Drawn
from vidjax.report.values import as_dict


@dataclass(frozen=True)
class Curves:
    """The training curves as PNGs on light and on dark paper, and their description."""

    light: bytes
    dark: bytes
    alt: str


def build_page(run: Run, curves: Curves | None, sections: Sequence[Drawn]) -> str:
    """The HTML of the report; `curves` is None where nothing was logged."""
    rows = results(run)
    headline = []
    if rows:
        headline = tiles(run, rows[0])
    return render_file(
        "page.html",
        run=run,
        lead=lead(run),
        results=rows,
        tiles=headline,
        evaluate_command=evaluate_command(run),
        facts=facts(run),
        curves=curves,
        sections=sections,
        config=flatten(run.config),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def lead(run: Run) -> str:
    """The network and the data in a sentence each."""
    sentences = []
    if run.is_fused:
        sentences.append("The scores of several runs, fused: the table Runs names them.")
    for part in (network(run), str(run.data.get("about") or "")):
        if part:
            sentences.append(part.rstrip(".") + ".")
    return " ".join(sentences)


def network(run: Run) -> str:
    """'resnet3d, variant r2plus1d_18', or what is known of it."""
    model = as_dict(run.config.get("model"))
    name, variant = str(model.get("name") or ""), str(model.get("variant") or "")
    if name and variant:
        return f"{name}, variant {variant}"
    return name or variant


def flatten(config: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """{"a": {"b": 1}} -> [("a.b", "1")], in the file's order; values are JSON."""
    pairs = []
    for key, value in config.items():
        if isinstance(value, dict) and value:
            pairs += flatten(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", json.dumps(value, ensure_ascii=False)))
    return pairs
