"""Clips with answers drawn into their frames: class maps or boxes, the truth above the answer.

The section has "clips", a list of {"id", "strip", "score"}: "strip" is a picture of the painted
frames side by side, by its path below evaluation/. "score" at the section names what the number
is, and "note" says how to read the pictures.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vidjax.report.clips import film_of_frames, read_frames
from vidjax.report.markup import render
from vidjax.report.read import Run
from vidjax.report.sections import Drawn, title_of
from vidjax.report.values import as_dict, as_list, number

TEMPLATE = """
<section>{{ heading(title, synthetic) }}
{% if clips %}
<p class="quiet">{{ note }}</p>
{% else %}
<p>The evaluation lists no clips.</p>
{% endif %}
{% for clip in clips %}
<figure class="clip painted"><figcaption><strong>clip {{ clip.id }}</strong>
<span class="quiet">{{ clip.score }}</span></figcaption>
{% if clip.film %}
<img src="{{ clip.film | data_uri }}"
 alt="Frames of clip {{ clip.id }}, {{ clip.score }}{% if synthetic %} (synthetic data){% endif %}">
{% else %}
<p class="quiet">The frames of this clip were not saved.</p>
{% endif %}
</figure>
{% endfor %}
</section>
"""


@dataclass(frozen=True)
class PaintedClip:
    """One clip: its score in words, and its painted frames as a JPEG, if there are any."""

    id: str
    score: str
    film: bytes | None


def draw(section: Mapping[str, Any], run: Run) -> Drawn:
    """The clips as HTML; the picture of the first clip is kept as a file, too."""
    name = str(section.get("score") or "score")
    clips = []
    for entry in map(as_dict, as_list(section.get("clips"))):
        if "id" not in entry:
            continue
        score = number(entry.get("score"))
        words = "" if math.isnan(score) else f"{name} {score:.3f}"
        frames = read_frames(run, str(entry.get("strip") or ""))
        clips.append(PaintedClip(str(entry["id"]), words, film_of_frames(frames)))
    html = render(
        TEMPLATE,
        title=title_of(section),
        synthetic=run.synthetic,
        note=str(section.get("note") or ""),
        clips=clips,
    )
    return Drawn(html)
