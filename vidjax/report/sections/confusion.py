"""A confusion matrix: its picture, and the pairs of classes that are confused most often.

The section has "counts", K rows of K integers: row = true class, column = predicted class. "what"
names the things that are counted, in the plural; "clips" where it is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidjax.report.markup import render
from vidjax.report.matrix import draw_matrix
from vidjax.report.read import Run
from vidjax.report.sections import BadSection, Drawn, title_of
from vidjax.report.theme import DARK, LIGHT
from vidjax.report.values import as_list, is_number

MAX_PAIRS = 5
MAX_COUNT = 2**53  # a higher number of JSON may have lost its last digits

TEMPLATE = """
<section>{{ heading(title, synthetic, unseen=True) }}
{{ picture(light, dark, alt, synthetic) }}
{% if pairs %}
<p>Most often confused:</p>
<div class="wide"><table>
<thead><tr><th scope="col">true</th><th scope="col">taken for</th>
<th scope="col" class="num">{{ what }}</th><th scope="col" class="num">of</th>
<th scope="col" class="num">share</th></tr></thead>
<tbody>
{% for pair in pairs %}
<tr><td>{{ pair.truth }}</td><td>{{ pair.answer }}</td>
<td class="num">{{ pair.count | count }}</td><td class="num">{{ pair.total | count }}</td>
<td class="num">{{ (pair.count / pair.total) | percent }}</td></tr>
{% endfor %}
</tbody></table></div>
{% else %}
<p>None of the {{ what }} were confused.</p>
{% endif %}
</section>
"""


@dataclass(frozen=True)
class Pair:
    """A true class and the class that it was taken for."""

    truth: str
    answer: str
    count: int  # of what was so confused
    total: int  # of the true class


def draw(section: Mapping[str, Any], run: Run) -> Drawn:
    """The picture on light and dark paper, and a table of pairs. Raises BadSection."""
    classes = run.evaluation.classes
    counts = read_counts(section.get("counts"), len(classes))
    title = title_of(section)
    look = {"title": title, "subtitle": run.subtitle, "synthetic": run.synthetic}
    light = draw_matrix(counts, classes, theme=LIGHT, **look)
    html = render(
        TEMPLATE,
        title=title,
        what=str(section.get("what") or "clips"),
        synthetic=run.synthetic,
        light=light,
        dark=draw_matrix(counts, classes, theme=DARK, **look),
        alt=f"{title}: rows are true classes, columns predictions, in per cent of the row",
        pairs=confused_pairs(counts, classes),
    )
    return Drawn(html, {"confusion.png": light})


def read_counts(raw: Any, num_classes: int) -> np.ndarray:
    """The matrix as int64 [K, K]. Raises BadSection where it is no such matrix."""
    rows = as_list(raw)
    is_square = bool(rows) and len(rows) == num_classes
    for row in rows:
        if len(as_list(row)) != num_classes or not all(map(is_count, row)):
            is_square = False
    if not is_square:
        raise BadSection(f"its counts are not {num_classes} rows of {num_classes} numbers")
    return np.array(rows, np.int64)


def is_count(value: Any) -> bool:
    """Whether a JSON value is a number of things."""
    return is_number(value) and 0 <= value <= MAX_COUNT


def confused_pairs(
    counts: np.ndarray, classes: Sequence[str], *, limit: int = MAX_PAIRS
) -> list[Pair]:
    """The pairs of counts int [K, K] that are confused most often, most first."""
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    totals = counts.sum(axis=1)
    pairs = []
    # A stable order lists equal counts by the order of the classes.
    for flat in np.argsort(-errors, axis=None, kind="stable")[:limit]:
        row, column = np.unravel_index(flat, errors.shape)
        if errors[row, column] > 0:
            count, total = int(errors[row, column]), int(totals[row])
            pairs.append(Pair(classes[row], classes[column], count, total))
    return pairs
