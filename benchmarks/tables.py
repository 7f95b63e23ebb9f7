"""The bench's results as Markdown that reads in a terminal, too."""

from collections.abc import Sequence
from typing import Any

from benchmarks.measure import ConvolutionRow, Row
from benchmarks.targets import NUM_CLASSES
from vidjax.ops.conv.rule import FORMS

LEGEND = f"""Of each network with {NUM_CLASSES} classes, on clips x frames x height x width. The contestants take turns
within one run; ms is the median of the rounds, ± half of what lies between the extremes. A multiply-add is two
operations, and a training step counts three forward passes of them: forward, cross entropy, gradients, SGD with
momentum. They are those of direct sums, of which minimal filtering takes fewer. MFU is the share of the best rate of a
matrix product measured here. Memory is that of arguments and temporary values, as the compiler plans them, or where
there is a * the peak that the device reports. Compile times are of the first start, and of one with the program in the
compilation cache. Flax is the same network with every convolution as `nn.Conv` lowers it."""
CEILING = """The ceiling is that of matrix products or of memory, whichever is lower for the convolution; what stays in
a cache from call to call can pass the memory's."""
OVER = """`/ PyTorch` is the time over that of PyTorch's best layout, round by round; a network that works on images
there has channels_last."""


def page(about: dict[str, Any], rows: Sequence[Row], found: Sequence[ConvolutionRow]) -> str:
    """Everything: the machine, the notes, the networks, and where they were asked for their convolutions."""
    parts = [machine_line(about), *(f"Note: {note}" for note in about["notes"])]
    if rows:
        parts += [network_table(rows), LEGEND + (f"\n{OVER}" if _with_torch(rows) else "")]
    for key, table in _groups(found).items():
        network, clip, precision, step = key
        what = "forward" if step == "forward" else "forward and both gradients"
        parts.append(f"Convolutions of {network}, {clip}, {precision}, {what}: ms by lowering")
        parts.append(convolution_table(table))
    if _groups(found):
        parts.append(CEILING)
    return "\n\n".join(parts) + "\n"


def machine_line(about: dict[str, Any]) -> str:
    """Chip, cores, measured ceilings, versions, day."""
    machine = about["machine"]
    products = ", ".join(
        f"{p} {max(rates.values()) / 1e9:,.0f}" for p, rates in machine["products"].items()
    )
    count = f"one of {machine['devices']} x " if machine["devices"] > 1 else ""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{count}{machine['chip']}, {about['cores']} cores; matrix products in GFLOP/s: {products}; "
        f"memory {machine['bytes_per_second'] / 1e9:,.1f} GB/s; {versions}; {about['date'][:10]}"
    )


def network_table(rows: Sequence[Row]) -> str:
    """A line for each contestant."""
    over = _with_torch(rows)
    header = [
        "network",
        "clip",
        "precision",
        "step",
        "by",
        "ms",
        "±",
        "clips/s",
        "GFLOP/s",
        "MFU",
        "MiB",
    ]
    header += ["compile s", "cached s", *(["/ PyTorch"] if over else [])]
    lines = []
    for row in rows:
        star = "*" if row.memory_by == "device" else ""
        cells = [
            row.network,
            row.clip,
            row.precision,
            row.step,
            row.contestant,
            _short(1000 * row.seconds),
        ]
        cells += [f"{100 * row.spread:.0f} %", _short(row.clips_per_second), _short(row.gflops)]
        cells += [
            f"{100 * row.mfu:.1f} %",
            "" if row.memory is None else f"{row.memory / 2**20:,.0f}{star}",
        ]
        cells += [_seconds(row.compile_cold), _seconds(row.compile_warm)]
        lines.append(cells + ([f"{row.over_torch:.2f}" if row.over_torch else ""] if over else []))
    return markdown(header, lines, num_left=5)


def convolution_table(rows: Sequence[ConvolutionRow]) -> str:
    """A line for each convolution: what "auto" picks, every lowering, PyTorch's better layout, and the ceiling."""
    names = ["auto", *(name for name in FORMS if any(name in row.seconds for row in rows))]
    with_torch = any(_torch(row) for row in rows)
    header = [
        "[T, H, W, C], kernel",
        "times",
        "picked",
        *names,
        *(["PyTorch"] if with_torch else []),
    ]
    header += ["GFLOP/s", "of the ceiling"]
    lines = []
    for row in rows:
        cells = [
            row.name,
            f"{row.count}",
            row.form,
            *(_short(1000 * row.seconds[name]) for name in names),
        ]
        cells += ([_short(1000 * min(_torch(row))) if _torch(row) else ""]) if with_torch else []
        lines.append([*cells, _short(row.rate / 1e9), f"{100 * row.rate / row.ceiling:.0f} %"])
    return markdown(header, lines, num_left=1)


def _torch(row):
    return [seconds for name, seconds in row.seconds.items() if name.startswith("PyTorch")]


def _with_torch(rows):
    return any(row.over_torch for row in rows)


def _groups(found):
    """Rows of one network, clip, precision and step together, those without a choice of lowerings left out."""
    groups: dict[tuple, list[ConvolutionRow]] = {}
    for row in found:
        if set(FORMS) <= set(row.seconds):
            groups.setdefault((row.network, row.clip, row.precision, row.step), []).append(row)
    return groups


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]], *, num_left: int) -> str:
    """An aligned table; columns from `num_left` on are at the right."""
    widths = [max(3, *map(len, column)) for column in zip(header, *lines, strict=True)]
    aligns = ["<" if i < num_left else ">" for i in range(len(widths))]
    rule = [
        "-" * w if a == "<" else "-" * (w - 1) + ":" for w, a in zip(widths, aligns, strict=True)
    ]
    rows = [header, rule, *lines]
    return "\n".join(
        f"| {' | '.join(f'{cell:{a}{w}}' for cell, a, w in zip(row, aligns, widths, strict=True))} |"
        for row in rows
    )


def _short(value: float) -> str:
    """Three digits, no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
