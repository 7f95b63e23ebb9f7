"""The generic sections of an evaluation: one kind a file, named by the file.

evaluation/<split>.json lists sections with a "kind" and a "title". `sections/<kind>.py` has
`draw(section, run) -> Drawn`, which turns one of them into HTML and pictures. It raises BadSection
for content that it can't show. The page then says so in one sentence, as it does for a kind that
has no file here, and shows the rest.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from vidjax.report.markup import render
from vidjax.report.read import Run

NOTE = '<p class="note">{{ sentence }}</p>'


class BadSection(Exception):
    """The content of a section cannot be shown; the message says what is wrong with it."""


@dataclass(frozen=True)
class Drawn:
    """A section as the report shows it."""

    html: Markup  # <section>...</section>
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # file name in report/ -> PNG


def kinds() -> list[str]:
    """Every kind of section that can be drawn, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def draw(section: Mapping[str, Any], run: Run) -> Drawn:
    """Draws one section of an evaluation file; a sentence where that is not possible."""
    # The name comes from a file: only names of files in this folder are imported.
    kind = str(section.get("kind", ""))
    title = title_of(section)
    if kind not in kinds():
        sentence = f"The section “{title}” is of the kind {kind!r}, which this report cannot show."
        return Drawn(render(NOTE, sentence=sentence))
    module = importlib.import_module(f"{__name__}.{kind}")
    try:
        return module.draw(section, run)
    except BadSection as problem:
        sentence = f"The section “{title}” cannot be shown: {problem}."
        return Drawn(render(NOTE, sentence=sentence))


def title_of(section: Mapping[str, Any]) -> str:
    """The title of a section, or its kind where it has none."""
    return str(section.get("title") or section.get("kind") or "untitled")
