"""Clips with their frames and answers: the first as one picture, one clip as a poster.

The section has "clips", a list of {"id", "strip", "truth", "answers", "loss", "correct"}. "strip"
is a picture of the frames side by side, by its path below evaluation/. "truth" is a label or a list
of labels. "answers" are pairs of a class and its probability, the most probable first. "note", if
there is one, says which clips these are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vidjax.report.clips import Clip, film, poster_clip, read_clips
from vidjax.report.filmstrip import draw_clips, draw_poster
from vidjax.report.markup import render
from vidjax.report.read import Run
from vidjax.report.sections import Drawn, title_of

MAX_DRAWN = 8  # clips in the picture; the page shows all

TEMPLATE = """
<section>{{ heading(title, synthetic) }}
{% if clips %}
<p class="quiet">{{ note }}</p>
{% else %}
<p>The evaluation lists no clips.</p>
{% endif %}
{% for clip, film in clips %}
<figure class="clip"><figcaption><strong>{{ clip.title }}</strong>
<span class="quiet">{{ clip.note }}</span></figcaption>
{% if film %}
<img src="{{ film | data_uri }}"
 alt="Frames of clip {{ clip.id }}: {{ clip.title }}, {{ clip.verdict }}">
{% endif %}
<div class="best">
{% for answer in clip.answers %}
<span class="{{ answer.kind }}" title="{{ answer.name }}">{{ answer.name }}</span>
<b><i style="width:{{ answer.share | bar_width }}%"></i></b>
<em>{{ answer.share | rough_percent }}</em>
{% endfor %}
</div></figure>
{% endfor %}
</section>
"""


def draw(section: Mapping[str, Any], run: Run) -> Drawn:
    """The clips as HTML, with a picture of the first ones and one of a single clip."""
    clips = read_clips(section.get("clips"), run)
    title = title_of(section)
    films = []
    for clip in clips:
        films.append((clip, film(clip)))
    html = render(
        TEMPLATE,
        title=title,
        synthetic=run.synthetic,
        note=note_of(section, clips),
        clips=films,
    )

    pictures = {}
    drawn = [clip for clip in clips if clip.frames][:MAX_DRAWN]
    # Where nothing went wrong, a section lists correct clips, which are no picture of mistakes.
    if not all(clip.correct for clip in drawn):
        pictures["mistakes.png"] = draw_clips(
            drawn, title=title, subtitle=run.subtitle, synthetic=run.synthetic
        )
    poster = poster_clip(clips)
    if poster:
        pictures["filmstrip.png"] = draw_poster(poster, synthetic=run.synthetic)
    return Drawn(html, pictures)


def note_of(section: Mapping[str, Any], clips: Sequence[Clip]) -> str:
    """Which clips these are, and how their figures are read."""
    sentences = [str(section.get("note") or ""), "Blue marks the truth, where it is listed."]
    if not any(clip.frames for clip in clips):
        sentences.append("The frames of these clips were not saved.")
    return " ".join(sentences).strip()
