"""Reads lists of clips: CSV files, written by hand or by tools, with a row for each clip."""

import csv
import os
from collections.abc import Iterator

from vidjax.core.errors import DataError


def read_list(path: str) -> list[tuple[str, str]]:
    """Returns (id, label) of each row; the label is "" where the row has none.

    A row is `id;label` or `id` alone; under a header that begins with `id` or `video_id`, the label
    is the column of that name. A comma may take the place of the semicolon. Raises DataError for a
    file that is no list.
    """
    rows = read_rows(path)
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


def read_rows(path: str, *, delimiter: str = "") -> Iterator[list[str]]:
    """The cells of each row that has an id, without the blanks around them.

    Without a delimiter it is the semicolon if the first line has one, or else the comma. Raises
    DataError for a file that is no text in UTF-8, or no CSV.
    """
    try:
        # utf-8-sig: tools on Windows put a byte order mark in front.
        with open(path, encoding="utf-8-sig", newline="") as file:
            if not delimiter:
                delimiter = ";" if ";" in file.readline() else ","
                file.seek(0)
            for row in csv.reader(file, delimiter=delimiter):
                if row and row[0].strip():
                    yield [cell.strip() for cell in row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no list in UTF-8: {error}.") from error


def leads_outside(path: str) -> bool:
    """Whether a path in a list leads out of the folder that it should stay in.

    Lists come from elsewhere: they must not make us open files outside the data set.
    """
    return os.path.isabs(path) or ".." in path.split("/")
