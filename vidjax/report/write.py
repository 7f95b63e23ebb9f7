"""write_report: the door of this room; draws the pictures, builds the page and puts both into the work folder."""

from __future__ import annotations

import warnings
from pathlib import Path

from vidjax.core import files
from vidjax.core.errors import StorageError
from vidjax.report.confusion import draw_confusion
from vidjax.report.curves import draw_curves
from vidjax.report.filmstrip import draw_mistakes, draw_poster, encode_strip
from vidjax.report.page import build_page
from vidjax.report.read import Run, read_run
from vidjax.report.scores import poster_clip, worst_mistakes
from vidjax.report.theme import DARK

PICTURES = ("curves.png", "confusion.png", "mistakes.png", "filmstrip.png")


def write_report(workdir: str | Path, *, split: str = "validation") -> Path:
    """Write report.html, complete in itself, and report/*.png of a work folder; returns the path of the page.

    Pictures with nothing to show (no metrics, no evaluation of `split`, no saved frames) are left out, and those of an
    earlier report are taken away. Raises ReportError where there is no work folder, StorageError where it takes no files.
    """
    run = read_run(workdir, split=split)
    with warnings.catch_warnings():
        # a class name in a script that the font lacks is drawn as boxes, and is right on the page
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        pictures, dark = draw_pictures(run), draw_dark(run)
    page = build_page(run, pictures, dark=dark, strips=encode_strips(run))
    path = run.workdir / "report.html"
    try:
        folder = run.workdir / "report"
        folder.mkdir(exist_ok=True)
        for name in PICTURES:
            if name in pictures:
                files.write_bytes(folder / name, pictures[name])
            else:
                (folder / name).unlink(missing_ok=True)
        files.write_text(path, page)
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {run.workdir}: {error.strerror or error}."
        ) from error
    return path


def draw_pictures(run: Run) -> dict[str, bytes]:
    """File name -> PNG, on light paper, for those that have something to show."""
    pictures = {"curves.png": draw_curves(run)}
    evaluation = run.evaluation
    if evaluation and evaluation.classes:
        pictures["confusion.png"] = draw_confusion(
            evaluation, subtitle=subtitle(run), synthetic=run.synthetic
        )
        strips = {"num_frames": run.num_frames, "synthetic": run.synthetic}
        clips = [clip for clip in worst_mistakes(evaluation, limit=8) if clip.strip]
        if clips:
            pictures["mistakes.png"] = draw_mistakes(
                clips, evaluation, subtitle=subtitle(run), **strips
            )
        clip = poster_clip(evaluation)
        if clip:
            pictures["filmstrip.png"] = draw_poster(clip, evaluation, **strips)
    return {name: picture for name, picture in pictures.items() if picture}


def draw_dark(run: Run) -> dict[str, bytes]:
    """The diagrams again on dark paper, for the page alone."""
    pictures = {"curves.png": draw_curves(run, theme=DARK)}
    if run.evaluation and run.evaluation.classes:
        look = {"subtitle": subtitle(run), "synthetic": run.synthetic, "theme": DARK}
        pictures["confusion.png"] = draw_confusion(run.evaluation, **look)
    return {name: picture for name, picture in pictures.items() if picture}


def encode_strips(run: Run) -> dict[str, bytes]:
    """Clip id -> JPEG of its frames, for the worst mistakes."""
    clips = worst_mistakes(run.evaluation) if run.evaluation else []
    return {clip.id: encode_strip(clip.strip, run.num_frames) for clip in clips if clip.strip}


def subtitle(run: Run) -> str:
    """Which run, which split, how many clips, at which step."""
    step = "" if run.evaluation.step is None else f" at step {run.evaluation.step:,}"
    return f"{run.name}, {run.evaluation.num_clips:,} {run.split} clips{step}"
