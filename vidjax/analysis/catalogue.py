"""The catalogue: every network beside what is published about it, as the page docs/models.md.

Two tables beside this file hold what is published. published_counts.csv has a row for each network,
number of classes and clip [T, H, W, C] whose parameters or multiply-adds (in G, for one clip)
somebody states. A row without counts only says at which clip to count; a row without a family is
about something that is no network here. published_accuracy.csv has results on data sets.
The counts of the networks follow from shapes; nothing is computed.
"""

import csv
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from vidjax import models
from vidjax.analysis import counts
from vidjax.core.errors import UserError

COMMAND = "python launch.py --job describe --all > docs/models.md"
INTRODUCTION = f"""# The networks

`{COMMAND}` writes this page in a minute or two; do not
edit it by hand.

The parameters and multiply-adds of a network are counted in its traced program. A multiply-add
counts one; those of convolutions and linear layers are counted, for one clip [T, H, W, C]. Beside
them is what is published, with its source. Where the source prints a rounded number, or counts
other operations as well, its number is in parentheses behind its name. The difference is ours minus
theirs in parameters, and ours relative to theirs in multiply-adds."""
ACCURACY_INTRODUCTION = """## Published accuracy

Results that others report, in per cent: a recipe has to come close to them. Results of this project
are in [results.md](results.md)."""
HEADINGS = (
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
ALIGNMENT = "|---|---:|---|---:|---:|---:|---:|---:|---|"
ACCURACY_HEADINGS = (
    "data",
    "published network",
    "network here",
    "top-1",
    "top-5",
    "protocol",
    "source",
)
ACCURACY_ALIGNMENT = "|---|---|---|---:|---:|---|---|"


@dataclass(frozen=True)
class Row:
    """A network at a clip, and what is published about it.

    Args:
        family: "" for what is no network here.
        variant: a row of the family's VARIANTS.
        fields: (name, value) pairs that differ from the variant's.
        num_classes: number of logits.
        clip: [T, H, W, C].
        num_parameters: the published number, or None.
        multiply_adds: the published number for one clip, or None.
        source: who publishes it.
    """

    family: str
    variant: str
    fields: tuple[tuple[str, str], ...]
    num_classes: int
    clip: tuple[int, ...]
    num_parameters: int | None = None
    multiply_adds: float | None = None
    source: str = ""

    @property
    def name(self) -> str:
        """The variant, then the fields in which the network differs from it."""
        settings = [f"{field}={value}" for field, value in self.fields]
        return " ".join([self.variant, *settings])


# Where nothing is published about any network of a family, these say at which clip to count.
DEFAULT = Row(family="", variant="", fields=(), num_classes=400, clip=(16, 112, 112, 3))


def published() -> list[Row]:
    """All rows of published_counts.csv, in their order."""
    return [_row(entries) for entries in _read("published_counts.csv")]


def rows(family: str, known: Sequence[Row]) -> Iterator[Row]:
    """The rows of all variants of a family, in the order of its VARIANTS.

    A variant has its published rows among `known`. If there are none, it has one row at the clip
    and the number of classes of the published variant with the most similar name.
    """
    of_family = [row for row in known if row.family == family]
    for variant in models.family(family).VARIANTS:
        of_variant = [row for row in of_family if row.variant == variant]
        if of_variant:
            yield from of_variant
        else:
            similar = _most_similar(variant, of_family)
            yield replace(
                DEFAULT,
                family=family,
                variant=variant,
                num_classes=similar.num_classes,
                clip=similar.clip,
            )


def count(row: Row) -> tuple[int, int]:
    """(parameters, multiply-adds) of the network of a row.

    Raises UserError where the row names a family, variant or field that does not exist.
    """
    fields = {name: models.parse_field(row.family, name, text) for name, text in row.fields}
    # Lowered natively, every convolution is in the program as such.
    module = models.build(
        row.family, variant=row.variant, num_classes=row.num_classes, lowering="native", **fields
    )

    def init(video: Any) -> tuple[jax.Array, Any]:
        return module.init_with_output(jax.random.key(0), video, train=False)

    video = models.input_shapes(module, jax.ShapeDtypeStruct((1, *row.clip), jnp.float32))
    program, (_, variables) = jax.make_jaxpr(init, return_shape=True)(video)
    return counts.num_parameters(variables), counts.multiply_adds(program.jaxpr)


def line(row: Row) -> str:
    """The line of a row in the table. Raises UserError where its network cannot be built."""
    # A wrong name in the table of published counts is a mistake of whoever wrote the row. Any other
    # error is a fault of the network and keeps its stack.
    try:
        num_parameters, multiply_adds = count(row)
    except UserError as error:
        raise UserError(f"{row.family} {row.name}: {error}") from error
    published_parameters = ""
    published_multiply_adds = ""
    differences = []
    if row.num_parameters is not None:
        published_parameters = f"{row.num_parameters:,}"
        differences.append(_signed(num_parameters - row.num_parameters))
    if row.multiply_adds is not None:
        published_multiply_adds = _in_g(row.multiply_adds)
        differences.append(_signed_percent(multiply_adds / row.multiply_adds - 1))
    return _table_line(
        row.name,
        str(row.num_classes),
        "x".join(map(str, row.clip)),
        f"{num_parameters:,}",
        published_parameters,
        _in_g(multiply_adds),
        published_multiply_adds,
        ", ".join(differences),
        row.source,
    )


def page(progress: Callable[[str], None]) -> str:
    """The whole page. `progress` is told each network before it is counted. Raises UserError."""
    known = published()
    rows_by_family = {}
    total = 0
    for family in models.names():
        rows_by_family[family] = list(rows(family, known))
        total += len(rows_by_family[family])
    parts = [INTRODUCTION]
    num_done = 0
    for family, table in rows_by_family.items():
        # The first line of a family's docstring says what it is.
        summary = (models.family(family).__doc__ or "").partition("\n")[0]
        lines = [_table_line(*HEADINGS), ALIGNMENT]
        for row in table:
            num_done += 1
            progress(f"{num_done} of {total}: {family} {row.name}")
            lines.append(line(row))
        parts.append(f"## {family}\n\n{summary}")
        parts.append("\n".join(lines))
    parts.append(ACCURACY_INTRODUCTION)
    parts.append("\n".join(_accuracy_lines()))
    return "\n\n".join(parts) + "\n"


def _accuracy_lines() -> Iterator[str]:
    yield _table_line(*ACCURACY_HEADINGS)
    yield ACCURACY_ALIGNMENT
    for entries in _read("published_accuracy.csv"):
        yield _table_line(
            entries["data"],
            entries["name"],
            f"{entries['variant']} {entries['fields']}".strip(),
            entries["top1"],
            entries["top5"],
            entries["protocol"],
            entries["source"],
        )


def _read(name: str) -> list[dict[str, str]]:
    """The rows of a table beside this file, by heading."""
    with open(Path(__file__).with_name(name), newline="") as file:
        return list(csv.DictReader(file))


def _row(entries: dict[str, str]) -> Row:
    """A row of published_counts.csv, where an empty entry says that nothing is published."""
    num_parameters = None
    if entries["params"]:
        num_parameters = int(entries["params"])
    multiply_adds = None
    if entries["gmacs"]:
        multiply_adds = float(entries["gmacs"]) * 1e9
    clip = ()
    if entries["clip"]:
        clip = tuple(map(int, entries["clip"].split("x")))
    fields = []
    for setting in entries["fields"].split():
        name, _, value = setting.partition("=")
        fields.append((name, value))
    return Row(
        family=entries["family"],
        variant=entries["variant"],
        fields=tuple(fields),
        num_classes=int(entries["num_classes"] or 0),
        clip=clip,
        num_parameters=num_parameters,
        multiply_adds=multiply_adds,
        source=entries["source"],
    )


def _most_similar(variant: str, known: Sequence[Row]) -> Row:
    """The first row of the variant with the most similar name; DEFAULT if there is none."""
    first_by_variant = {}
    for row in known:
        first_by_variant.setdefault(row.variant, row)
    # A cutoff of 0 takes the nearest name, however far it is.
    matches = difflib.get_close_matches(variant, first_by_variant, n=1, cutoff=0)
    if not matches:
        return DEFAULT
    return first_by_variant[matches[0]]


def _in_g(multiply_adds: float) -> str:
    return f"{multiply_adds / 1e9:.4f}"


def _signed(number: int) -> str:
    if number == 0:
        return "0"
    return f"{number:+,}"


def _signed_percent(share: float) -> str:
    text = f"{100 * share:+.2f} %"
    # A small difference rounds to zero, which has no sign.
    if text in ("+0.00 %", "-0.00 %"):
        return "0.00 %"
    return text


def _table_line(*cells: str) -> str:
    """A line of a table in Markdown; an empty cell is one space wide."""
    return f"| {' | '.join(cells)} |".replace("  ", " ")
