"""describe: what a config asks for, without doing it: every key, the network's shapes and costs, the length of the run.

No data is read beyond lists; nothing is rendered or written, and nothing is compiled unless `--memory` asks what a
training step holds. What `train` would refuse in a config is refused here, too, but for a batch that the devices do not
divide. With `--all` it is about no config: the table of all networks beside what is published of them, in Markdown.
"""

import math
import sys
import time
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vidjax.analysis import catalogue, counts, receptive_field
from vidjax.core.errors import MissingData, UserError
from vidjax.experiment import parts, programs
from vidjax.run.command import Request, flat

ASSUMED_CLASSES = 27  # where the data is not there to say: Jester's
HOW_TO_MEMORY = "memory          --memory tells it: the training step is compiled for that (seconds; a minute if deep)"
# The layout of buffers is the same at every level; code is not run here, so it need not be good.
QUICK = {"xla_backend_optimization_level": 0}
LEGEND = "stride; frames and pixels: how much of the video a position sees, some of it padding near the edges"


def run(request: Request) -> None:
    """Prints it. Raises UserError, DataError for a config that cannot be run."""
    jax.config.update(
        "jax_platforms", "cpu"
    )  # nothing is computed: a GPU stays with whoever trains on it
    if request.zoo:
        print(catalogue.page(progress=lambda line: print(line, file=sys.stderr)), end="")
        return
    config = request.config
    if config is None:
        raise UserError(
            "describe needs a config, e.g. --config configs/r2p1d.py, or --all for every network."
        )
    parts.check(config)
    source = parts.source(config)
    classes = if_there(lambda: source.classes)
    augment = parts.augmentation(config, source) if classes is not None else None
    num_train = num_clips(source, "train")
    num_classes = len(classes) if classes else 0
    network = network_lines(config, num_classes)
    memory = memory_lines(config, num_classes, augment) if request.memory else [HOW_TO_MEMORY]
    sections = (
        config_lines(config, defaults()),
        [*network, *memory],
        data_lines(config, source, num_train),
        run_lines(config, num_train),
    )
    print("\n\n".join("\n".join(lines) for lines in sections))


def if_there(read):
    """read(), or None where the data set is not there."""
    try:
        return read()
    except MissingData:
        return None


def num_clips(source: Any, split: str) -> int | None:
    """The clips that a split lists; None where nothing is there to tell. Raises DataError."""
    return if_there(lambda: source.num_records(split) if split in source.splits else None)


def defaults() -> dict[str, Any]:
    """The keys and values of common.py; {} for a config file that does not start from it."""
    # vidjax does not import configs, but a file that starts from common.py has done so by now.
    common = sys.modules.get("configs.common")
    return flat(common.defaults()) if common else {}


def config_lines(config: ConfigDict, base: dict[str, Any]) -> list[str]:
    """Every key with its value, and what it is by default where that is something else."""
    values = flat(config)
    width, value_width = max(map(len, values)), max(len(repr(v)) for v in values.values())
    legend = (
        "* differs from configs/common.py, whose value is at the right"
        if base
        else "no defaults to compare with"
    )
    lines = [f"config ({legend})"]
    for key in sorted(values):
        value, default = repr(values[key]), repr(base[key]) if key in base else "added"
        mark = bool(base) and value != default
        lines.append(
            f"{'*' if mark else ' '} {key:{width}}  {value:{value_width}}  {default if mark else ''}".rstrip()
        )
    return lines


def network_lines(config: ConfigDict, num_classes: int) -> list[str]:
    """The table of endpoints and the totals. Raises UserError where the network does not take such clips."""
    shape = programs.video_shape(config)
    video = jax.ShapeDtypeStruct(shape, jnp.float32)
    module = parts.network(config, num_classes or ASSUMED_CLASSES)
    try:
        variables = jax.eval_shape(
            lambda: module.init(jax.random.key(0), jnp.zeros(shape), train=False)
        )
        rows = counts.endpoints(module, variables, video)
    except (ValueError, TypeError) as error:
        raise UserError(f"config.model: {str(error).splitlines()[0]}") from error
    total, cost = counts.num_parameters(variables), sum(row.multiply_adds for row in rows)
    classes = (
        f"{num_classes} classes"
        if num_classes
        else f"{ASSUMED_CLASSES} classes assumed, as there is no data to say"
    )
    return [
        f"network: {config.model.name} {config.model.variant}, {_shape(shape)} [T, H, W, C], {classes}",
        *_table(rows),
        f"  {LEGEND}",
        f"parameters      {total:,}",
        f"multiply-adds   {cost / 1e9:.4f} G for one clip ({cost:,}), of convolutions and linear layers",
    ]


def _table(rows: list[counts.Endpoint]) -> list[str]:
    header = (
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
    cells = [header]
    sums = (
        accumulate(row.num_parameters for row in rows),
        accumulate(row.multiply_adds for row in rows),
    )
    for row, parameters, cost in zip(rows, *sums, strict=True):
        seen = zip(*(receptive_field.in_words(*reaches) for reaches in row.reaches), strict=True)
        counts = (
            f"{row.num_parameters:,}",
            f"{parameters:,}",
            f"{row.multiply_adds / 1e6:,.2f} M",
            f"{cost / 1e6:,.2f} M",
        )
        cells.append((row.name, "+".join(map(_shape, row.shapes)), *map("+".join, seen), *counts))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = "<<<>>>>>>"
    return [
        "  "
        + "  ".join(f"{c:{a}{w}}" for c, a, w in zip(line, aligned, widths, strict=True)).rstrip()
        for line in cells
    ]


def memory_lines(config: ConfigDict, num_classes: int, augment: Any) -> list[str]:
    """What a training step of the config's batch holds on one device, by the compiled program."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    module = parts.network(config, num_classes or ASSUMED_CLASSES)
    tx = parts.optimiser(config, parts.schedule(config, 1))
    state = programs.checkpoint_shapes(config, module, tx=tx, mesh=mesh)
    step = programs.make_train_step(config, module, tx=tx, augment=augment, mesh=mesh)
    began, count = time.monotonic(), config.batch_size
    batch = {
        "video": jax.ShapeDtypeStruct((count, *programs.video_shape(config)[1:]), jnp.uint8),
        "label": jax.ShapeDtypeStruct((count,), jnp.int32),
        "mask": jax.ShapeDtypeStruct((count,), jnp.float32),
        "draw": jax.ShapeDtypeStruct((count,), jnp.uint32),
    }
    compiled = step.lower(state["state"], state["window"], batch).compile(compiler_options=QUICK)
    sizes, seconds = compiled.memory_analysis(), time.monotonic() - began
    held, given = sizes.temp_size_in_bytes / 2**20, sizes.argument_size_in_bytes / 2**20
    return [
        f"memory          {held:,.1f} MiB for a training step of {count} clips, {held / count:,.2f} MiB a clip:",
        f"                the most that activations and gradients take at one time, beside {given:,.1f} MiB of state",
        f"                and batch, as laid out for this CPU (compiled in {seconds:.1f} s); other devices differ",
    ]


def _shape(shape: tuple[int, ...]) -> str:
    """Of one clip: the batch axis is left out."""
    return "x".join(map(str, shape[1:]))


def data_lines(config: ConfigDict, source: Any, num_train: int | None) -> list[str]:
    """What the clips are and how many."""
    absent = (
        f"no data at {config.data.root}"
        if config.data.root
        else "--config.data.root=DIR is not set"
    )
    lines = [f"data: {if_there(lambda: source.about) or f'{config.data.name}, {absent}'}"]
    for split, count in (("train", num_train), ("validation", num_clips(source, "validation"))):
        if count is None:
            lines.append(f"  {split:10}  unknown: {absent}")
        else:
            batches = math.ceil(count / config.batch_size)
            lines.append(
                f"  {split:10}  {count:,} clips, {batches:,} batches of {config.batch_size} a pass"
            )
    return lines


def run_lines(config: ConfigDict, num_train: int | None) -> list[str]:
    """Steps of the run and the learning rate at some of them."""
    if num_train is None and not config.num_steps:
        return [f"run: {config.num_epochs:g} epochs, an unknown number of steps"]
    total = parts.num_steps(config, num_train or 0)
    epochs = total * config.batch_size / num_train if num_train else None
    lines = [
        f"run: {total:,} steps of {config.batch_size} clips"
        + (f", {epochs:.1f} epochs" if epochs else "")
    ]
    if num_train:
        for key, what in (
            ("log_steps", "metrics"),
            ("eval_steps", "evaluation"),
            ("checkpoint_steps", "checkpoint"),
        ):
            lines.append(
                f"  {what:10}  every {parts.every(config[key], config, num_train):,} steps"
            )
    shares = [round(share * (total - 1)) for share in (0, 0.25, 0.5, 0.75, 1)]
    at = sorted({*shares, min(config.schedule.warmup_steps, total - 1)})
    rates = parts.schedule(config, total)(jnp.array(at))
    points = ", ".join(
        f"{rate:.3g} at {step:,}" for step, rate in zip(at, rates.tolist(), strict=True)
    )
    lines.append(f"  learning rate ({config.schedule.name}): {points}")
    if config.schedule.warmup_steps >= total:
        lines.append(
            f"  its warm-up, {config.schedule.warmup_steps:,} steps, is longer than the run"
        )
    return lines
