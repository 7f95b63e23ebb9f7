"""Every network of the registry beside what is published of it, as a page of Markdown (docs/models.md).

What is published stands in two tables beside this file. published_counts.csv has a row for each network, number of
classes and clip [T, H, W, C] whose parameters or multiply-adds (in G, of one clip) somebody states; rows without a
family are of things that are no network here, rows without counts say at which clip to count. published_accuracy.csv
has what was reached on which data. Nothing is computed: shapes alone decide.
"""

import csv
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError

COMMAND = "python launch.py --job describe --all > docs/models.md"
ABOUT = f"""# The networks

Made by `{COMMAND}`, which takes a minute or two: edit it nowhere.

Parameters and multiply-adds are counted in the traced program of each network. A multiply-add counts one, those of
convolutions and linear layers count, and they are of one clip, [T, H, W, C]. What is published stands beside it, with
its source; where that prints a rounded number, or counts other operations, too, its number is in parentheses. The
difference is ours over theirs: in parameters, and in multiply-adds."""
HEADER = (
    "network",
    "classes",
    "clip",
    "parameters",
    "published",
    "multiply-adds, G",
    "published",
    "difference",
    "source",
)
ACCURACY = """## Published accuracy

What others report, in per cent: what a recipe has to reach. What was reached here is in [results.md](results.md)."""


@dataclass(frozen=True)
class Row:
    """A network at a clip, and what is published of it (None: nothing). `family` is "" for what is no network here."""

    family: str
    variant: str
    fields: tuple[tuple[str, str], ...]  # beside the variant's own
    num_classes: int
    clip: tuple[int, ...]  # [T, H, W, C]
    num_parameters: int | None = None
    multiply_adds: float | None = None
    source: str = ""

    @property
    def name(self) -> str:
        """The variant, and the fields that make it another."""
        return " ".join([self.variant, *(f"{key}={value}" for key, value in self.fields)])


DEFAULT = Row("", "", (), num_classes=400, clip=(16, 112, 112, 3))


def _read(name: str) -> list[dict[str, str]]:
    with open(Path(__file__).with_name(name), newline="") as file:
        return list(csv.DictReader(file))


def published() -> list[Row]:
    """All rows of published_counts.csv, in their order."""
    return [
        Row(
            family=row["family"],
            variant=row["variant"],
            fields=tuple(tuple(field.split("=")) for field in row["fields"].split()),
            num_classes=int(row["num_classes"] or 0),
            clip=tuple(map(int, row["clip"].split("x"))) if row["clip"] else (),
            num_parameters=int(row["params"]) if row["params"] else None,
            multiply_adds=float(row["gmacs"]) * 1e9 if row["gmacs"] else None,
            source=row["source"],
        )
        for row in _read("published_counts.csv")
    ]


def rows(family: str, known: list[Row]) -> Iterator[Row]:
    """Each variant of a family: its published rows, or a row at the clip and the classes of the most alike variant."""
    of_family = [row for row in known if row.family == family]
    for variant in models.family(family).VARIANTS:
        own = [row for row in of_family if row.variant == variant]
        near = difflib.get_close_matches(variant, [row.variant for row in of_family], n=1, cutoff=0)
        like = next((row for row in of_family if row.variant in near), DEFAULT)
        blank = replace(
            DEFAULT, family=family, variant=variant, num_classes=like.num_classes, clip=like.clip
        )
        yield from own or [blank]


def count(row: Row) -> tuple[int, int]:
    """(parameters, multiply-adds) of the network of a row. Raises ValueError where that cannot be built."""
    fields = dict(row.fields)
    # Lowered natively every convolution is in the program as such.
    module = models.build(
        row.family, variant=row.variant, num_classes=row.num_classes, lowering="native", **fields
    )

    def init() -> tuple[jax.Array, Any]:
        return module.init_with_output(jax.random.key(0), jnp.zeros((1, *row.clip)), train=False)

    program, (_, variables) = jax.make_jaxpr(init, return_shape=True)()
    return counts.num_parameters(variables), counts.multiply_adds(program.jaxpr)


def line(row: Row) -> str:
    """The line of the table for a row. Raises UserError where its network cannot be built."""
    try:
        num_parameters, multiply_adds = count(row)
    except (ValueError, TypeError) as error:
        raise UserError(f"{row.family} {row.name}: {str(error).splitlines()[0]}") from error
    stated = ["", ""]
    differences = []
    if row.num_parameters is not None:
        stated[0] = f"{row.num_parameters:,}"
        differences.append(f"{num_parameters - row.num_parameters:+,}".replace("+0", "0"))
    if row.multiply_adds is not None:
        stated[1] = f"{row.multiply_adds / 1e9:.4f}"
        differences.append(_percent(multiply_adds / row.multiply_adds - 1))
    clip = "x".join(map(str, row.clip))
    ours = f"{num_parameters:,}", f"{multiply_adds / 1e9:.4f}"
    cells = (row.name, str(row.num_classes), clip, ours[0], stated[0], ours[1], stated[1])
    return _line(*cells, ", ".join(differences), row.source)


def _percent(share: float) -> str:
    text = f"{100 * share:+.2f} %"
    return text[1:] if text[1:] == "0.00 %" else text


def page(progress: Callable[[str], None]) -> str:
    """The whole page; `progress` is told each network before it is counted. Raises UserError."""
    known, parts, done = published(), [ABOUT], 0
    tables = {family: list(rows(family, known)) for family in models.names()}
    total = sum(map(len, tables.values()))
    for family, table in tables.items():
        about = (models.family(family).__doc__ or "").partition("\n")[0]
        lines = [_line(*HEADER), "|---|---:|---|---:|---:|---:|---:|---:|---|"]
        for row in table:
            done += 1
            progress(f"{done} of {total}: {family} {row.name}")
            lines.append(line(row))
        parts += [f"## {family}\n\n{about}", "\n".join(lines)]
    return "\n\n".join([*parts, ACCURACY, "\n".join(_accuracy())]) + "\n"


def _accuracy() -> Iterator[str]:
    yield _line("data", "published network", "network here", "top-1", "top-5", "protocol", "source")
    yield "|---|---|---|---:|---:|---|---|"
    for row in _read("published_accuracy.csv"):
        here = " ".join(filter(None, [row["variant"], row["fields"]]))
        yield _line(
            row["data"], row["name"], here, row["top1"], row["top5"], row["protocol"], row["source"]
        )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("  ", " ")
