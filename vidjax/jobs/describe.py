"""describe: what a config asks for, without doing it: every key, the network's shapes and costs, the length of the run.

No data is read beyond lists; nothing is rendered, compiled or written. What `train` would refuse in a config is refused
here, too, but for a batch that the devices do not divide.
"""

import math
import sys
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vidjax.data.errors import MissingData
from vidjax.experiment import counting, parts, programs
from vidjax.run.command import Request, flat
from vidjax.run.errors import UserError

ASSUMED_CLASSES = 27  # where the data is not there to say: Jester's


def run(request: Request) -> None:
    """Prints it. Raises UserError, DataError for a config that cannot be run."""
    config = request.config
    if config is None:
        raise UserError("describe needs a config, e.g. --config configs/r2p1d.py.")
    parts.check(config)
    jax.config.update("jax_platforms", "cpu")  # nothing is computed: a GPU stays with whoever trains on it
    source = parts.source(config)
    classes = if_there(lambda: source.classes)
    if classes is not None:
        parts.augmentation(config, source)
    num_train = num_clips(source, "train")
    sections = (
        config_lines(config, defaults()),
        network_lines(config, len(classes) if classes else 0),
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
    legend = "* differs from configs/common.py, whose value is at the right" if base else "no defaults to compare with"
    lines = [f"config ({legend})"]
    for key in sorted(values):
        value, default = repr(values[key]), repr(base[key]) if key in base else "added"
        mark = bool(base) and value != default
        lines.append(f"{'*' if mark else ' '} {key:{width}}  {value:{value_width}}  {default if mark else ''}".rstrip())
    return lines


def network_lines(config: ConfigDict, num_classes: int) -> list[str]:
    """The table of endpoints and the totals. Raises UserError where the network does not take such clips."""
    shape = programs.video_shape(config)
    video = jax.ShapeDtypeStruct(shape, jnp.float32)
    module = parts.network(config, num_classes or ASSUMED_CLASSES)
    # Lowered natively every convolution is in the program as such; the count is the same whatever computes it.
    plain = parts.network(_with_lowering(config, "native"), num_classes or ASSUMED_CLASSES)
    try:
        variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape), train=False))
        rows = counting.endpoints(plain, variables, video)
    except (ValueError, TypeError) as error:
        raise UserError(f"config.model: {str(error).splitlines()[0]}") from error
    total, cost = counting.num_parameters(variables), sum(row.multiply_adds for row in rows)
    classes = (
        f"{num_classes} classes" if num_classes else f"{ASSUMED_CLASSES} classes assumed, as there is no data to say"
    )
    return [
        f"network: {config.model.name} {config.model.variant}, {_shape(shape)} [T, H, W, C], {classes}",
        *_table(rows),
        f"parameters      {total:,}",
        f"multiply-adds   {cost / 1e9:.4f} G for one clip ({cost:,}), of convolutions and linear layers",
    ]


def _table(rows: list[counting.Endpoint]) -> list[str]:
    cells = [("endpoint", "shape", "parameters", "so far", "multiply-adds", "so far")]
    sums = accumulate(row.num_parameters for row in rows), accumulate(row.multiply_adds for row in rows)
    for row, parameters, cost in zip(rows, *sums, strict=True):
        shapes = " + ".join(map(_shape, row.shapes))
        counts = (
            f"{row.num_parameters:,}",
            f"{parameters:,}",
            f"{row.multiply_adds / 1e6:,.2f} M",
            f"{cost / 1e6:,.2f} M",
        )
        cells.append((row.name, shapes, *counts))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = "<<>>>>"
    return [
        "  " + "  ".join(f"{c:{a}{w}}" for c, a, w in zip(line, aligned, widths, strict=True)).rstrip()
        for line in cells
    ]


def _shape(shape: tuple[int, ...]) -> str:
    """Of one clip: the batch axis is left out."""
    return "x".join(map(str, shape[1:]))


def _with_lowering(config: ConfigDict, lowering: str) -> ConfigDict:
    other = ConfigDict(config.to_dict())
    if "lowering" in other.model:
        other.model.lowering = lowering
    return other


def data_lines(config: ConfigDict, source: Any, num_train: int | None) -> list[str]:
    """What the clips are and how many."""
    absent = f"no data at {config.data.root}" if config.data.root else "--config.data.root=DIR is not set"
    lines = [f"data: {if_there(lambda: source.about) or f'{config.data.name}, {absent}'}"]
    for split, count in (("train", num_train), ("validation", num_clips(source, "validation"))):
        if count is None:
            lines.append(f"  {split:10}  unknown: {absent}")
        else:
            batches = math.ceil(count / config.batch_size)
            lines.append(f"  {split:10}  {count:,} clips, {batches:,} batches of {config.batch_size} a pass")
    return lines


def run_lines(config: ConfigDict, num_train: int | None) -> list[str]:
    """Steps of the run and the learning rate at some of them."""
    if num_train is None and not config.num_steps:
        return [f"run: {config.num_epochs:g} epochs, an unknown number of steps"]
    total = parts.num_steps(config, num_train or 0)
    epochs = total * config.batch_size / num_train if num_train else None
    lines = [f"run: {total:,} steps of {config.batch_size} clips" + (f", {epochs:.1f} epochs" if epochs else "")]
    if num_train:
        for key, what in (("log_steps", "metrics"), ("eval_steps", "evaluation"), ("checkpoint_steps", "checkpoint")):
            lines.append(f"  {what:10}  every {parts.every(config[key], config, num_train):,} steps")
    shares = [round(share * (total - 1)) for share in (0, 0.25, 0.5, 0.75, 1)]
    at = sorted({*shares, min(config.schedule.warmup_steps, total - 1)})
    rates = parts.schedule(config, total)(jnp.array(at))
    points = ", ".join(f"{rate:.3g} at {step:,}" for step, rate in zip(at, rates.tolist(), strict=True))
    lines.append(f"  learning rate ({config.schedule.name}): {points}")
    if config.schedule.warmup_steps >= total:
        lines.append(f"  its warm-up, {config.schedule.warmup_steps:,} steps, is longer than the run")
    return lines
