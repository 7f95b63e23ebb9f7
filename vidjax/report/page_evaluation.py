"""The part of the page that an evaluation fills: confusion matrix, worst mistakes, classes."""

from __future__ import annotations

import math
from html import escape

from vidjax.report.filmstrip import show_share
from vidjax.report.markup import data_uri, percent, picture, table
from vidjax.report.read import Clip, Evaluation, Run
from vidjax.report.scores import class_scores, confused_pairs, worst_mistakes

OPEN_CLASSES = 60  # a longer table of classes starts folded


def confusion(run: Run, pictures: dict[str, bytes], dark: dict[str, bytes], badge: str) -> str:
    if "confusion.png" not in pictures:
        return ""
    alt = "Confusion matrix: rows are true classes, columns predictions, in per cent of the row"
    pairs = confused_pairs(run.evaluation)
    body = [
        (true, other, f"{num:,}", f"{total:,}", f"{100 * num / total:.1f} %")
        for true, other, num, total in pairs
    ]
    heads = ("true", "taken for", "clips", "of", "share")
    listing = (
        f"<p>Most often confused:</p>\n{table(heads, body, first_num=2)}"
        if body
        else "<p>No clip was confused.</p>"
    )
    shown = picture("confusion.png", pictures, dark, alt, run)
    return f'<section><h2 class="unseen">Confusion matrix{badge}</h2>\n{shown}\n{listing}</section>'


def mistakes(evaluation: Evaluation, strips: dict[str, bytes], badge: str) -> str:
    """The worst mistakes, each with its frames and its five best classes."""
    title = f"<h2>Worst mistakes{badge}</h2>"
    clips = worst_mistakes(evaluation)
    if not clips:
        reason = (
            "Every clip was recognised." if evaluation.clips else "The evaluation lists no clips."
        )
        return f"<section>{title}\n<p>{reason}</p></section>"
    total = sum(clip.is_mistake for clip in evaluation.clips)
    order = "the highest loss first" + ("" if strips else "; their frames were not saved")
    note = f'<p class="quiet">{len(clips)} of {total:,} wrong clips, {order}. Blue is the true class.</p>'
    return f"<section>{title}\n{note}\n{''.join(clip_figure(clip, evaluation, strips) for clip in clips)}</section>"


def clip_figure(clip: Clip, evaluation: Evaluation, strips: dict[str, bytes]) -> str:
    true, predicted = evaluation.classes[clip.label], evaluation.classes[clip.top5[0]]
    loss = "" if math.isnan(clip.loss) else f", loss {clip.loss:.2f}"
    image = ""
    if clip.id in strips:
        alt = f"Frames of clip {clip.id}: {true}, taken for {predicted}"
        image = f'<img src="{data_uri(strips[clip.id])}" alt="{escape(alt)}">'
    best = []
    for rank, (index, probability) in enumerate(
        zip(clip.top5[:5], clip.probabilities, strict=False)
    ):
        kind = "true" if index == clip.label else "false" if rank == 0 else "other"
        name, value = (
            escape(evaluation.classes[index]),
            0.0 if math.isnan(probability) else probability,
        )
        best.append(
            f'<span class="{kind}" title="{name}">{name}</span><b><i style="width:{100 * value:.1f}%"></i></b>'
            f"<em>{escape(show_share(probability))}</em>"
        )
    return (
        f'<figure class="clip"><figcaption><strong>{escape(true)}</strong>'
        f'<span class="quiet">clip {escape(clip.id)}{loss}</span></figcaption>'
        f'{image}<div class="best">{"".join(best)}</div></figure>\n'
    )


def classes(evaluation: Evaluation, badge: str) -> str:
    """One row a class, worst first."""
    heads = ("class", "clips", "correct", "accuracy", "", "most often taken for")
    rows = []
    for row in class_scores(evaluation):
        meter = 0.0 if math.isnan(row.accuracy) else 100 * row.accuracy
        other = f"{escape(row.confused_with)} ({row.num_confused:,})" if row.num_confused else ""
        cells = "".join(
            f'<td class="num">{cell}</td>'
            for cell in (f"{row.num_clips:,}", f"{row.num_correct:,}", percent(row.accuracy))
        )
        rows.append(
            f'<tr><th scope="row">{escape(row.name)}</th>{cells}'
            f'<td class="meter"><i style="width:{meter:.1f}%"></i></td><td>{other}</td></tr>'
        )
    top = "".join(
        f'<th scope="col"{" class=num" if 0 < at < 4 else ""}>{head}</th>'
        for at, head in enumerate(heads)
    )
    body = (
        f'<table id="classes"><thead><tr>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )
    body = f'<div class="wide">{body}</div>'
    if len(rows) > OPEN_CLASSES:
        body = f"<details><summary>{len(rows):,} classes</summary>{body}</details>"
    return f"<section><h2>Classes, worst first{badge}</h2>\n{body}</section>"
