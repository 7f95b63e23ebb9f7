"""Small pieces of HTML: tables, pictures as data URIs, numbers as text; whatever comes from a file is escaped here."""

from __future__ import annotations

import base64
import math
from html import escape
from typing import Any

from vidjax.report.read import Run, number
from vidjax.report.theme import SCALE

BADGE = '<span class="badge">synthetic data</span>'


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]], *, first_num: int = 1) -> str:
    """Cells as text; columns from `first_num` on are numbers, set right."""
    top = "".join(
        f'<th scope="col"{" class=num" if at >= first_num else ""}>{escape(h)}</th>'
        for at, h in enumerate(heads)
    )
    body = ""
    for row in rows:
        cells = "".join(
            f"<td{' class=num' if at >= first_num else ''}>{escape(c)}</td>"
            for at, c in enumerate(row)
        )
        body += f"<tr>{cells}</tr>"
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def picture(
    name: str, pictures: dict[str, bytes], dark: dict[str, bytes], alt: str, run: Run
) -> str:
    """An image with its dark twin; width and height from the PNG's header, so that the page does not jump."""
    width, height = (int.from_bytes(pictures[name][at : at + 4], "big") // SCALE for at in (16, 20))
    alt += " (synthetic data)" if run.synthetic else ""
    source = (
        f'<source media="(prefers-color-scheme: dark)" srcset="{data_uri(dark[name])}">'
        if name in dark
        else ""
    )
    image = f'<img src="{data_uri(pictures[name])}" width="{width}" height="{height}" alt="{escape(alt)}">'
    return f'<div class="wide drawn"><picture>{source}{image}</picture></div>'


def data_uri(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def percent(fraction: float) -> str:
    return "–" if math.isnan(fraction) else f"{100 * fraction:.1f} %"


def count(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


def count_text(value: Any) -> str:
    return count(number(value)) if not math.isnan(number(value)) else unknown()


def text(value: Any) -> str:
    return escape(str(value)) if value else unknown()


def code(value: Any) -> str:
    return f"<code>{escape(str(value))}</code>" if value else unknown()


def unknown() -> str:
    return '<span class="quiet">not recorded</span>'
