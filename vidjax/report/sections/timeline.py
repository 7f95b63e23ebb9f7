"""Time lines: what each moment of a clip is, above what the network says it is.

The section has "clips", a list of {"id", "strip", "num_frames", "truth", "answer"}. The last two
are lists of [start, end, class] in frames, the end exclusive; what no segment covers is ignored.
"strip" is a picture of the sampled frames, and "note" says which clips these are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vidjax.report.clips import film_of_frames, read_frames
from vidjax.report.markup import render
from vidjax.report.read import Run
from vidjax.report.sections import BadSection, Drawn, title_of
from vidjax.report.values import as_dict, as_list, is_number

GOLDEN_ANGLE = 137.5  # degrees of hue from one class to the next, so that neighbours differ

TEMPLATE = """
{% macro line(label, spans) %}
<div class="timeline"><span>{{ label }}</span><b>
{% for span in spans %}
<i style="width:{{ span.width }}%{% if span.hue is not none %};background:hsl({{ span.hue }} 65%
 50%){% endif %}" title="{{ span.name }}"></i>
{% endfor %}
</b></div>
{% endmacro %}
<section>{{ heading(title, synthetic) }}
{% if clips %}
<p class="quiet">{{ note }}</p>
<p class="legend">{% for name, hue in legend %}
<span><i style="background:hsl({{ hue }} 65% 50%)"></i>
{{ name }}</span> {% endfor %}</p>
{% else %}
<p>The evaluation lists no clips.</p>
{% endif %}
{% for clip in clips %}
<figure class="clip painted"><figcaption><strong>clip {{ clip.id }}</strong></figcaption>
<div>
{% if clip.film %}
{# In the column of the lines, so that a frame stands above its time. #}
<div class="timeline"><span></span><img src="{{ clip.film | data_uri }}"
 alt="Frames of clip {{ clip.id }}{% if synthetic %} (synthetic data){% endif %}"></div>
{% endif %}
{{ line("truth", clip.truth) }}
{{ line("answer", clip.answer) }}
</div></figure>
{% endfor %}
</section>
"""


@dataclass(frozen=True)
class Span:
    """A part of a time line: its length in per cent, its colour as a hue, and its class."""

    width: str
    hue: str | None  # None for what is ignored
    name: str


@dataclass(frozen=True)
class Lines:
    """The two time lines of a clip, and its frames as a JPEG, if there are any."""

    id: str
    film: bytes | None
    truth: list[Span]
    answer: list[Span]


def draw(section: Mapping[str, Any], run: Run) -> Drawn:
    """The clips as HTML. Raises BadSection for segments that are none."""
    classes = run.evaluation.classes
    clips = []
    for entry in map(as_dict, as_list(section.get("clips"))):
        num_frames = entry.get("num_frames")
        if "id" not in entry or not is_number(num_frames) or num_frames < 1:
            continue
        frames = read_frames(run, str(entry.get("strip") or ""))
        clips.append(
            Lines(
                id=str(entry["id"]),
                film=film_of_frames(frames),
                truth=spans(entry.get("truth"), num_frames, classes),
                answer=spans(entry.get("answer"), num_frames, classes),
            )
        )
    html = render(
        TEMPLATE,
        title=title_of(section),
        synthetic=run.synthetic,
        note=str(section.get("note") or ""),
        legend=[(name, hue_of(index)) for index, name in enumerate(classes)],
        clips=clips,
    )
    return Drawn(html)


def spans(raw: Any, num_frames: int, classes: list[str]) -> list[Span]:
    """The segments of a line, with gaps where there are none. Raises BadSection."""
    parts = []
    end_before = 0
    for entry in as_list(raw):
        values = as_list(entry)
        if len(values) != 3 or not all(map(is_number, values)):
            raise BadSection("a segment is not [start, end, class]")
        start, end, index = map(int, values)
        if not end_before <= start < end <= num_frames or not 0 <= index < len(classes):
            raise BadSection(f"the segment {values} does not fit {num_frames} frames")
        if start > end_before:
            parts.append(Span(width(start - end_before, num_frames), None, "ignored"))
        parts.append(Span(width(end - start, num_frames), hue_of(index), classes[index]))
        end_before = end
    return parts


def width(count: int, num_frames: int) -> str:
    """The share of some frames in per cent."""
    return f"{100 * count / num_frames:.3f}"


def hue_of(index: int) -> str:
    """The hue of a class in degrees."""
    return f"{(210 + GOLDEN_ANGLE * index) % 360:.0f}"
