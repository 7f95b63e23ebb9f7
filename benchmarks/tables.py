"""The results as Markdown that can be read in a terminal, too."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.jax_convolutions import LOWERINGS
from benchmarks.measure_checkouts import CheckoutRow
from benchmarks.measure_convolutions import ConvolutionRow
from benchmarks.measure_networks import Row
from benchmarks.measure_streams import StreamRow
from benchmarks.targets import NUM_CLASSES

LEGEND = f"""\
Every network has {NUM_CLASSES} classes. A clip is clips x frames x height x width. The contestants
take turns within one run: ms is the median of the rounds, and ± is half the difference of the
slowest and the fastest round. A multiply-add is two operations. A training step is the forward
pass, cross entropy, gradients and SGD with momentum, and counts as three forward passes. Operations
are those of direct sums; minimal filtering needs fewer. MFU is the share of the best rate of a
matrix product measured here. Memory is that of arguments and temporary values as the compiler plans
them; with a * it is the peak that the device reports. Compile times are those of a first start and
of a start with the program in the compilation cache. Flax is the same network with every
convolution as `nn.Conv` lowers it."""
RATIO_LEGEND = """\
`/ PyTorch` is the time over that of PyTorch's faster layout, round by round. A network that works
on images uses channels_last there."""
CEILING_LEGEND = """\
The ceiling is that of matrix products or that of memory, whichever is lower for the convolution.
What stays in a cache from call to call can exceed the memory's."""
CHECKOUTS_LEGEND = """\
The checkouts take turns, each in a process of its own: ms is the median of the rounds, and ± is
half the difference of the slowest and the fastest round. The ratio is that of the medians, over the
first checkout: below 1 a checkout is faster than the first. The train step is the forward pass,
cross entropy, gradients and gradient descent, without the rest of a training job."""
STREAMS_LEGEND = """\
A stream takes streams x height x width pixels at a time. Frames/s is that of each stream, ms the
mean of a frame over a whole period, and ± half the difference of the slowest and the fastest round.
A fresh step is one that ends in a new answer, which takes longest. Carried is what the layers keep
of the past, without the parameters. Clip is the same network on whole clips: ms for each frame."""

STEP_TITLES = {"forward": "forward", "train": "forward and both gradients"}


def page(
    about: Mapping[str, Any], rows: Sequence[Row], convolutions: Sequence[ConvolutionRow]
) -> str:
    """The machine, the notes, the networks, and the convolutions that ran in every lowering."""
    paragraphs = [machine_line(about)]
    for note in about["notes"]:
        paragraphs.append(f"Note: {note}")
    if rows:
        legend = LEGEND
        if _with_torch(rows):
            legend += f"\n{RATIO_LEGEND}"
        paragraphs += [network_table(rows), legend]
    groups = _groups(convolutions)
    for (network, clip, precision, step), group in groups.items():
        what = f"{network}, {clip}, {precision}, {STEP_TITLES[step]}"
        paragraphs.append(f"Convolutions of {what}: ms by lowering")
        paragraphs.append(convolution_table(group))
    if groups:
        paragraphs.append(CEILING_LEGEND)
    return "\n\n".join(paragraphs) + "\n"


def machine_line(about: Mapping[str, Any]) -> str:
    """Chip, cores, ceilings, versions and date."""
    machine = about["machine"]
    chip = machine["chip"]
    if machine["devices"] > 1:
        chip = f"one of {machine['devices']} x {chip}"
    products = []
    for precision, rates in machine["products"].items():
        # by library; the better one is the ceiling
        products.append(f"{precision} {max(rates.values()) / 1e9:,.0f}")
    versions = [f"{name} {version}" for name, version in about["versions"].items()]
    parts = [
        f"{chip}, {about['cores']} cores",
        f"matrix products in GFLOP/s: {', '.join(products)}",
        f"memory {machine['bytes_per_second'] / 1e9:,.1f} GB/s",
        ", ".join(versions),
        about["date"][:10],
    ]
    return "; ".join(parts)


def network_table(rows: Sequence[Row]) -> str:
    """A line for each contestant."""
    header = ["network", "clip", "precision", "step", "by", "ms", "±", "clips/s", "GFLOP/s"]
    header += ["MFU", "MiB", "compile s", "cached s"]
    with_torch = _with_torch(rows)
    if with_torch:
        header.append("/ PyTorch")
    lines = []
    for row in rows:
        cells = [row.network, row.clip, row.precision, row.step, row.contestant]
        cells += [_milliseconds(row.seconds), f"{100 * row.spread:.0f} %"]
        cells += [_short(row.clips_per_second), _short(row.gflops), f"{100 * row.mfu:.1f} %"]
        # Empty for PyTorch, which has no compiler to ask on a CPU.
        cells += [_mebibytes(row), _seconds(row.compile_cold), _seconds(row.compile_warm)]
        if with_torch:
            cells.append(f"{row.over_torch:.2f}" if row.over_torch else "")
        lines.append(cells)
    return markdown(header, lines, num_left=5)


def convolution_table(rows: Sequence[ConvolutionRow]) -> str:
    """A line for each convolution: every lowering, PyTorch's faster layout, and the ceiling."""
    names = ["auto"]
    # In their own order, whichever contestant came first.
    for name in LOWERINGS:
        if any(name in row.seconds for row in rows):
            names.append(name)
    with_torch = any(torch_seconds(row) for row in rows)
    header = ["[T, H, W, C], kernel", "times", "picked", *names]
    if with_torch:
        header.append("PyTorch")
    header += ["GFLOP/s", "of the ceiling"]
    lines = []
    for row in rows:
        cells = [row.name, str(row.count), row.form]
        cells += [_milliseconds(row.seconds[name]) for name in names]
        if with_torch:
            fastest = torch_seconds(row)
            cells.append(_milliseconds(fastest) if fastest else "")
        cells += [_short(row.rate / 1e9), f"{100 * row.rate / row.ceiling:.0f} %"]
        lines.append(cells)
    return markdown(header, lines, num_left=1)


def checkout_page(environment: Mapping[str, Any], rows: Sequence[CheckoutRow]) -> str:
    """The devices, and a line for each checkout at each step."""
    header = ["network", "clip", "precision", "step", "checkout", "ms", "±", "ratio"]
    lines = []
    for row in rows:
        cells = [row.network, row.clip, row.precision, row.step, row.checkout]
        cells += [_milliseconds(row.seconds), f"{100 * row.spread:.0f} %", f"{row.ratio:.3f}"]
        lines.append(cells)
    first = _devices_line(environment)
    paragraphs = [first, markdown(header, lines, num_left=5), CHECKOUTS_LEGEND]
    return "\n\n".join(paragraphs) + "\n"


def stream_page(environment: Mapping[str, Any], rows: Sequence[StreamRow]) -> str:
    """The devices, and a line for each network."""
    header = [
        "network",
        "frame",
        "precision",
        "fresh every",
        "frames/s",
        "ms",
        "±",
        "fresh step ms",
    ]
    header += ["carried MB", "clip ms"]
    lines = []
    for row in rows:
        cells = [row.network, row.frame, row.precision, str(row.period)]
        cells += [_short(row.frames_per_second), _milliseconds(1 / row.frames_per_second)]
        cells += [f"{100 * row.spread:.0f} %", _milliseconds(row.fresh_seconds)]
        cells += [f"{row.carried_bytes / 1e6:.2f}", _milliseconds(row.clip_seconds_per_frame)]
        lines.append(cells)
    first = _devices_line(environment)
    return "\n\n".join([first, markdown(header, lines, num_left=3), STREAMS_LEGEND]) + "\n"


def _devices_line(environment: Mapping[str, Any]) -> str:
    devices = ", ".join(environment["devices"])
    return f"{devices}; jax {environment['versions']['jax']}; {environment['started'][:10]}"


def torch_seconds(row: ConvolutionRow) -> float | None:
    """The time of PyTorch's faster layout; None where PyTorch took no part."""
    times = [seconds for name, seconds in row.seconds.items() if name.startswith("PyTorch")]
    return min(times, default=None)


def _with_torch(rows: Sequence[Row]) -> bool:
    return any(row.over_torch for row in rows)


def _groups(rows: Sequence[ConvolutionRow]) -> dict[tuple, list[ConvolutionRow]]:
    """The rows that have every lowering, by network, clip, precision and step."""
    groups: dict[tuple, list[ConvolutionRow]] = {}
    for row in rows:
        if set(LOWERINGS) <= set(row.seconds):
            key = (row.network, row.clip, row.precision, row.step)
            groups.setdefault(key, []).append(row)
    return groups


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]], *, num_left: int) -> str:
    """A table with aligned columns; those from `num_left` on are aligned to the right."""
    widths = []
    for column in zip(header, *lines, strict=True):
        widths.append(max(3, *(len(cell) for cell in column)))  # Markdown wants three dashes

    def line(cells):
        padded = []
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            padded.append(cell.ljust(width) if number < num_left else cell.rjust(width))
        return f"| {' | '.join(padded)} |"

    rule = []
    for number, width in enumerate(widths):
        # A colon at the end aligns a column to the right.
        rule.append("-" * width if number < num_left else "-" * (width - 1) + ":")
    return "\n".join([line(header), line(rule), *(line(cells) for cells in lines)])


def _milliseconds(seconds: float) -> str:
    return _short(1000 * seconds)


def _short(value: float) -> str:
    """Three digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _mebibytes(row: Row) -> str:
    if row.memory is None:
        return ""
    star = "*" if row.memory_by == "device" else ""
    return f"{row.memory / 2**20:,.0f}{star}"
