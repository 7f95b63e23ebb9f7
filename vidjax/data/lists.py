"""Reads lists of clips: CSV files, written by hand or by tools, with a row for each clip."""

import csv
from collections.abc import Iterator


def read_list(path: str) -> list[tuple[str, str]]:
    """Returns (id, label) of each row; the label is "" where the row has none.

    A row is `id;label` or `id` alone; under a header that begins with `id` or `video_id`, the label
    is the column of that name. A comma may take the place of the semicolon.
    """
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        return []
    header = [cell.lower() for cell in first]
    clips = []
    if header[0] not in ("video_id", "id"):
        label_column = 1
        clips.append(_clip(first, label_column))
    elif "label" in header:
        label_column = header.index("label")
    else:
        label_column = None
    for row in rows:
        clips.append(_clip(row, label_column))
    return clips


def _clip(row: list[str], label_column: int | None) -> tuple[str, str]:
    """(id, label) of a row, which may be too short to have a label."""
    if label_column is None or len(row) <= label_column:
        return row[0], ""
    return row[0], row[label_column]


def _rows(path: str) -> Iterator[list[str]]:
    """The cells of each row that has an id, without the blanks around them."""
    # utf-8-sig: tools on Windows put a byte order mark in front.
    with open(path, encoding="utf-8-sig", newline="") as file:
        delimiter = ","
        if ";" in file.readline():
            delimiter = ";"
        file.seek(0)
        for row in csv.reader(file, delimiter=delimiter):
            if row and row[0].strip():
                yield [cell.strip() for cell in row]
