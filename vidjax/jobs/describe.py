"""describe: what a config asks for, without doing it: keys, shapes and costs, length of the run.

No data is read beyond lists; nothing is drawn or written, and nothing is compiled unless `--memory`
asks what a training step takes. What `train` would refuse in a config is refused here, too, except
a batch that the devices do not divide. With `--all` it is about no config: it prints the table of
all networks beside what is published of them, in Markdown.
"""

import math
import sys
import time
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vidjax import experiment as experiments
from vidjax.analysis import catalogue, counts, receptive_field
from vidjax.core.errors import MissingData
from vidjax.experiment.assembly import Experiment
from vidjax.experiment.programs import Programs
from vidjax.run.command import Request, needs_config
from vidjax.run.config import flat

ASSUMED_CLASSES = 27  # Jester's number, where the data set is not there to say its own
HOW_TO_MEMORY = (
    "memory          with --memory: compiles the training step to find out "
    "(seconds; a minute for deep networks)"
)
# The layout of buffers is the same at every level; the code is never run, so it need not be good.
QUICK = {"xla_backend_optimization_level": 0}
LEGEND = (
    "stride; frames and pixels: how much of the video a position sees, some of it padding near "
    "the edges"
)


def add_flags(parser) -> None:
    """--memory and --all."""
    parser.add_argument(
        "--memory", action="store_true", help="what a training step takes; compiles it"
    )
    parser.add_argument(
        "--all", action="store_true", dest="every_network", help="every network, in Markdown"
    )


def run(request: Request) -> None:
    """Prints the description of a config, or of every network.

    Raises UserError, DataError for a config that cannot be run.
    """
    # Nothing is computed: a GPU stays with whoever trains on it.
    jax.config.update("jax_platforms", "cpu")
    if request.flags.every_network:
        print(catalogue.page(progress=_print_to_stderr), end="")
        return
    config = needs_config(request)
    # The network can be described without the data: only the head depends on its classes.
    experiment = experiments.build(config, assumed_classes=ASSUMED_CLASSES)
    num_train = num_clips(experiment.source, "train")
    memory = [HOW_TO_MEMORY]
    if request.flags.memory:
        memory = memory_lines(experiment)
    sections = (
        config_lines(config, defaults()),
        [*network_lines(experiment), *memory],
        data_lines(experiment, num_train),
        run_lines(experiment, num_train),
    )
    print("\n\n".join("\n".join(lines) for lines in sections))


def _print_to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def if_available(read: Callable[[], Any]) -> Any:
    """read(), or None where the data set is not there."""
    try:
        return read()
    except MissingData:
        return None


def num_clips(source: Any, split: str) -> int | None:
    """The clips that a split lists; None where the data set is not there. Raises DataError."""

    def read():
        return source.num_records(split) if split in source.splits else None

    return if_available(read)


def defaults() -> dict[str, Any]:
    """The keys and values of configs/base.py; {} for a config that does not start from it."""
    # vidjax does not import configs, but a config that starts from base.py has imported it.
    base = sys.modules.get("configs.base")
    return flat(base.defaults()) if base else {}


def config_lines(config: ConfigDict, base: dict[str, Any]) -> list[str]:
    """Every key with its value, and its default where that is something else."""
    values = {key: repr(value) for key, value in flat(config).items()}
    key_width, value_width = max(map(len, values)), max(map(len, values.values()))
    legend = "no defaults to compare with"
    if base:
        legend = "* differs from configs/base.py, whose value is at the right"
    lines = [f"config ({legend})"]
    # Sorted, because a ConfigDict has no order of its own.
    for key in sorted(values):
        default = repr(base[key]) if key in base else "added"
        differs = bool(base) and values[key] != default
        mark, remark = ("*", default) if differs else (" ", "")
        lines.append(f"{mark} {key:{key_width}}  {values[key]:{value_width}}  {remark}".rstrip())
    return lines


def network_lines(experiment: Experiment) -> list[str]:
    """The table of endpoints and the totals.

    Raises UserError where the network does not take clips of the config's size.
    """
    config, shape = experiment.config, experiment.video_shape
    video = experiment.input_shapes
    module = experiment.module

    def init():
        zeros = jax.tree.map(lambda clip: jnp.zeros(clip.shape), video)
        return module.init(jax.random.key(0), zeros, train=False)

    # Shapes alone: a large network is described as fast as a small one.
    variables = jax.eval_shape(init)
    rows = counts.endpoints(module, variables, video)
    total = counts.num_parameters(variables)
    cost = sum(row.multiply_adds for row in rows)
    classes = f"{len(experiment.task.classes)} classes"
    if if_available(lambda: experiment.source.classes) is None:
        classes += " assumed, as there is no data to say"
    return [
        f"network: {config.model.name} {config.model.variant}, {_shape(shape)} [T, H, W, C], "
        f"{classes}",
        *_table(rows),
        f"  {LEGEND}",
        f"parameters      {total:,}",
        f"multiply-adds   {cost / 1e9:.4f} G for one clip ({cost:,}), "
        "of convolutions and linear layers",
    ]


def _table(rows: list[counts.Endpoint]) -> list[str]:
    """The lines of the table of endpoints, with a line of headings."""
    headings = (
        "endpoint",
        "shape",
        "stride",
        "frames",
        "pixels",
        "parameters",
        "so far",
        "multiply-adds",
        "so far",
    )
    cells = [headings]
    parameters_so_far = accumulate(row.num_parameters for row in rows)
    cost_so_far = accumulate(row.multiply_adds for row in rows)
    for row, parameters, cost in zip(rows, parameters_so_far, cost_so_far, strict=True):
        # an endpoint of two pathways has two of each, told as "a+b"
        words = [receptive_field.in_words(*axes) for axes in row.receptive_fields]
        stride, frames, pixels = map("+".join, zip(*words, strict=True))
        shapes = "+".join(map(_shape, row.shapes))
        cells.append(
            (
                row.name,
                shapes,
                stride,
                frames,
                pixels,
                f"{row.num_parameters:,}",
                f"{parameters:,}",
                f"{row.multiply_adds / 1e6:,.2f} M",
                f"{cost / 1e6:,.2f} M",
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        # names and shapes at the left of their columns, everything else at the right
        aligned = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        aligned += [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
        lines.append("  " + "  ".join(aligned).rstrip())
    return lines


def memory_lines(experiment: Experiment) -> list[str]:
    """What a training step of the config's batch takes on one device, by the compiled program."""
    # One device: what several take is this divided among them, apart from the state.
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    programs = Programs(experiment, mesh)
    tx = experiment.optimiser(experiment.schedule(num_steps=1))
    state = programs.checkpoint_shapes(tx)
    count = experiment.config.batch_size
    batch = programs.batch_shapes(count)
    began = time.monotonic()
    lowered = programs.train_step(tx).lower(state["state"], state["window"], batch)
    sizes = lowered.compile(compiler_options=QUICK).memory_analysis()
    seconds = time.monotonic() - began
    working = sizes.temp_size_in_bytes / 2**20
    arguments = sizes.argument_size_in_bytes / 2**20
    return [
        f"memory          {working:,.1f} MiB for a training step of {count} clips, "
        f"{working / count:,.2f} MiB a clip:",
        "                the most that activations and gradients take at one time, "
        f"beside {arguments:,.1f} MiB of state",
        "                and batch, as laid out for this CPU "
        f"(compiled in {seconds:.1f} s); other devices differ",
    ]


def _shape(shape: tuple[int, ...]) -> str:
    """'8x56x56x3' of a clip, without the batch axis."""
    return "x".join(map(str, shape[1:]))


def data_lines(experiment: Experiment, num_train: int | None) -> list[str]:
    """What the clips are and how many."""
    config, source = experiment.config, experiment.source
    absent = "--config.data.root=DIR is not set"
    if config.data.root:
        absent = f"no data at {config.data.root}"
    about = if_available(lambda: source.about)
    lines = [f"data: {about or f'{config.data.name}, {absent}'}"]
    splits = if_available(lambda: source.splits)
    for split, count in (("train", num_train), ("validation", num_clips(source, "validation"))):
        if splits is not None and split not in splits:
            lines.append(f"  {split:10}  missing: training needs this split, and the data has none")
            continue
        if count is None:
            lines.append(f"  {split:10}  unknown: {absent}")
            continue
        batches = math.ceil(count / config.batch_size)
        lines.append(
            f"  {split:10}  {count:,} clips, {batches:,} batches of {config.batch_size} a pass"
        )
    return lines


def run_lines(experiment: Experiment, num_train: int | None) -> list[str]:
    """The steps of the run, and the learning rate at some of them."""
    config = experiment.config
    if num_train is None and not config.num_steps:
        return [f"run: {config.num_epochs:g} epochs, an unknown number of steps"]
    lengths = experiment.lengths(num_train or 0)
    total = lengths.num_steps
    epochs = ""
    if num_train:
        epochs = f", {total * config.batch_size / num_train:.1f} epochs"
    lines = [f"run: {total:,} steps of {config.batch_size} clips{epochs}"]
    if num_train:
        lines.append(f"  metrics     every {lengths.log_steps:,} steps")
        lines.append(f"  evaluation  every {lengths.eval_steps:,} steps")
        lines.append(f"  checkpoint  every {lengths.checkpoint_steps:,} steps")
    # at the quarters of the run, and at the end of the warm-up
    numbers = {round(share * (total - 1)) for share in (0, 0.25, 0.5, 0.75, 1)}
    numbers.add(min(config.schedule.warmup_steps, total - 1))
    steps = sorted(numbers)
    rates = experiment.schedule(total)(jnp.array(steps)).tolist()
    points = [f"{rate:.3g} at {step:,}" for step, rate in zip(steps, rates, strict=True)]
    lines.append(f"  learning rate ({config.schedule.name}): {', '.join(points)}")
    if config.schedule.warmup_steps >= total:
        lines.append(f"  its warm-up, {config.schedule.warmup_steps:,} steps, takes the whole run")
    return lines
