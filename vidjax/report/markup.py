"""HTML by Jinja2: every text is escaped, and macros draw what several sections share.

The templates lie in templates/. A kind of section holds its own as text, so that it is one file.
The macros `badge`, `heading` and `picture` of templates/macros.html are known in every template.
"""

import base64
import functools
from typing import Any

import jinja2
from markupsafe import Markup

from vidjax.report import values
from vidjax.report.png import png_size
from vidjax.report.theme import SCALE

MACROS = "macros.html"


@functools.cache
def environment() -> jinja2.Environment:
    """The environment of all templates."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("vidjax.report", "templates"),
        autoescape=True,  # every text of a work folder may hold markup
        undefined=jinja2.StrictUndefined,  # a name that is missing is a fault of ours
        # A line that holds only a statement leaves no empty line.
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["bar_width"] = values.bar_width
    env.filters["count"] = values.count
    env.filters["percent"] = values.percent
    env.filters["rough_percent"] = values.rough_percent
    env.filters["data_uri"] = data_uri
    env.filters["page_size"] = page_size
    macros = env.get_template(MACROS).module
    for name in ("badge", "heading", "picture"):
        env.globals[name] = getattr(macros, name)
    return env


def render_file(name: str, **content: Any) -> str:
    """A template of templates/ with its variables filled in."""
    return environment().get_template(name).render(**content)


def render(template: str, **content: Any) -> Markup:
    """A template given as text, filled in; the result is HTML and is not escaped again."""
    return Markup(environment().from_string(template).render(**content))


def data_uri(picture: bytes) -> str:
    """A PNG or a JPEG as an address that holds the whole picture."""
    kind = "jpeg"
    if picture.startswith(b"\x89PNG"):
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def page_size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG in CSS pixels, so that the page doesn't jump while it loads."""
    width, height = png_size(png)
    return width // SCALE, height // SCALE
