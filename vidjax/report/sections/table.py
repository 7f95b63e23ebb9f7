"""A table: columns with a title and a unit, rows of texts and numbers.

The section has "columns", a list of {"title", "unit"}, and "rows", a list of lists as long. Unit
"%" means a share in 0..1, which is shown in per cent; null is a missing value. The first column
names the row. The first column of shares gets a bar beside its numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vidjax.report.markup import render
from vidjax.report.read import Run
from vidjax.report.sections import BadSection, Drawn, title_of
from vidjax.report.values import NOTHING, PERCENT, as_dict, as_list, is_number, number, with_unit

MAX_OPEN = 60  # rows; a longer table starts folded

TEMPLATE = """
{% macro whole_table() %}
<div class="wide"><table><thead><tr>
{% for column in columns %}
<th scope="col"{% if column.is_number %} class="num"{% endif %}>{{ column.title }}</th>
{% if column.has_bar %}
<td></td>
{% endif %}
{% endfor %}
</tr></thead><tbody>
{% for row in rows %}
<tr>
{% for cell in row %}
{% if loop.first %}
<th scope="row">{{ cell.text }}</th>
{% else %}
<td{% if cell.column.is_number %} class="num"{% endif %}>{{ cell.text }}</td>
{% endif %}
{% if cell.column.has_bar %}
<td class="meter"><i style="width:{{ cell.share | bar_width }}%"></i></td>
{% endif %}
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
<section>{{ heading(title, synthetic) }}
{% if rows | length > max_open %}
<details><summary>{{ rows | length | count }} rows</summary>{{ whole_table() }}</details>
{% elif rows %}
{{ whole_table() }}
{% else %}
<p>The table has no rows.</p>
{% endif %}
</section>
"""


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    title: str
    unit: str
    is_number: bool  # whether its cells are numbers, which are set right
    has_bar: bool


@dataclass(frozen=True)
class Cell:
    """A cell with its text, and its number as the length of a bar (NaN where it is none)."""

    column: Column
    text: str
    share: float


def draw(section: Mapping[str, Any], run: Run) -> Drawn:
    """The table as HTML; it has no picture. Raises BadSection."""
    raw_columns = [as_dict(column) for column in as_list(section.get("columns"))]
    raw_rows = [as_list(row) for row in as_list(section.get("rows"))]
    if not raw_columns:
        raise BadSection("it has no columns")
    # A row that is too short would put numbers under the wrong title.
    for row in raw_rows:
        if len(row) != len(raw_columns):
            raise BadSection(f"a row has {len(row)} cells for {len(raw_columns)} columns")

    columns = read_columns(raw_columns, raw_rows)
    rows = []
    for row in raw_rows:
        cells = []
        for column, value in zip(columns, row, strict=True):
            cells.append(Cell(column, cell_text(value, column.unit), number(value)))
        rows.append(cells)
    html = render(
        TEMPLATE,
        title=title_of(section),
        synthetic=run.synthetic,
        columns=columns,
        rows=rows,
        max_open=MAX_OPEN,
    )
    return Drawn(html)


def read_columns(raw: list[dict[str, Any]], rows: list[list[Any]]) -> list[Column]:
    """The columns; whether one holds numbers is decided by its cells."""
    columns = []
    has_bar_yet = False
    for position, entry in enumerate(raw):
        values = [row[position] for row in rows if row[position] is not None]
        unit = str(entry.get("unit") or "")
        # A bar for each column of shares would make the table wider than a page.
        has_bar = unit == PERCENT and not has_bar_yet
        has_bar_yet = has_bar_yet or has_bar
        column = Column(
            title=str(entry.get("title") or ""),
            unit=unit,
            is_number=bool(values) and all(map(is_number, values)),
            has_bar=has_bar,
        )
        columns.append(column)
    return columns


def cell_text(value: Any, unit: str) -> str:
    """A cell as text; a number is written with its unit."""
    if value is None:
        return NOTHING
    if is_number(value):
        return with_unit(value, unit)
    return str(value)
