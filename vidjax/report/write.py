"""write_report: draws the pictures, builds the page and puts both into the work folder."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from vidjax.core import files
from vidjax.core.errors import StorageError
from vidjax.report import sections
from vidjax.report.curves import draw_curves
from vidjax.report.page import Curves, build_page
from vidjax.report.read import Run, read_run
from vidjax.report.sections import Drawn
from vidjax.report.theme import DARK, LIGHT


def write_report(workdir: str | Path, *, split: str = "validation") -> Path:
    """Writes report.html, complete in itself, and report/*.png; returns the path of the page.

    Pictures with nothing to show (no metrics, no evaluation of `split`, no saved frames) are left
    out, and those of an earlier report are removed.

    Raises ReportError where there is no work folder, StorageError where it takes no files.
    """
    run = read_run(workdir, split=split)
    with warnings.catch_warnings():
        # A class name in a script that the font lacks becomes boxes here. The page shows it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        curves = draw_both_curves(run)
        drawn = draw_sections(run)
    page = build_page(run, curves, drawn)

    # The page holds its pictures itself. The files are for slides, notes and other pages.
    pictures = {}
    if curves:
        pictures["curves.png"] = curves.light
    for section in drawn:
        for name, picture in section.pictures.items():
            pictures[unused_name(name, pictures)] = picture
    try:
        write_pictures(run.workdir / "report", pictures)
        files.write_text(run.workdir / "report.html", page)
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {run.workdir}: {error.strerror or error}."
        ) from error
    return run.workdir / "report.html"


def draw_both_curves(run: Run) -> Curves | None:
    """The training curves on light and on dark paper; None where nothing was logged."""
    light = draw_curves(run, theme=LIGHT)
    dark = draw_curves(run, theme=DARK)
    if light is None or dark is None:
        return None
    titles = ", ".join(["Loss", *(scalar.title for scalar in run.curves)])
    return Curves(light, dark, f"{titles} and learning rate over training steps")


def draw_sections(run: Run) -> list[Drawn]:
    """Every section of the evaluation, in the order of its file."""
    if run.evaluation is None:
        return []
    return [sections.draw(section, run) for section in run.evaluation.sections]


def unused_name(name: str, taken: Mapping[str, bytes]) -> str:
    """The name, or, where two sections of a kind use it, 'mistakes-2.png'."""
    path = Path(name)
    number = 1
    while name in taken:
        number += 1
        name = f"{path.stem}-{number}{path.suffix}"
    return name


def write_pictures(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Writes the pictures into their folder, and removes those of an earlier report."""
    folder.mkdir(exist_ok=True)
    # An old picture beside a new page would be taken for one of this report.
    for path in folder.glob("*.png"):
        if path.name not in pictures:
            path.unlink()
    for name, picture in pictures.items():
        files.write_bytes(folder / name, picture)
