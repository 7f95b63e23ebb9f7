"""bench: how fast networks are here, beside plain Flax and PyTorch in the same run, and what the machine could do.

Networks are named by `--networks` (variants, or config files) or are that of `--config`. It prints a table, and leaves
it in the work folder as `bench.md`, all samples in `bench.json`, and the convolutions in `roofline.png`.
"""

import contextlib
import dataclasses
import logging
import os
import sys
from typing import Any

import jax
from ml_collections import ConfigDict

from benchmarks import compiling, machine, measure, networks, roofline, tables, targets, torch_side
from benchmarks.targets import Target
from vidjax import models
from vidjax.core import files
from vidjax.core.errors import UserError
from vidjax.core.names import no_such
from vidjax.experiment import parts
from vidjax.run import command, devices, workdir
from vidjax.run.command import Request
from vidjax.run.progress import show_messages

log = logging.getLogger("vidjax")

CONTESTANTS = ("torch", "flax", "none")


def run(request: Request) -> None:
    """Measures, prints and writes. Raises UserError before anything is measured, StorageError."""
    # JAX would take three quarters of a GPU that PyTorch needs as well.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    show_messages()
    flags = request.bench
    wanted = read_targets(request)
    steps, against = (
        words(flags.steps, "steps", networks.STEPS),
        words(flags.against, "against", CONTESTANTS),
    )
    if flags.rounds < 1:
        raise UserError(f"--rounds is {flags.rounds}; it is 1 or more.")
    for target in wanted:
        log.info("%s %s: %s multiply-adds", target.name, target.size, f"{target.multiply_adds:,}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(workdir.opened(request.workdir))
        stack.enter_context(compiling.empty_cache())
        torch, notes = None, []
        if "torch" in against:
            torch = stack.enter_context(torch_side.TorchSide(flags.torch_python))
            torch, device, notes = start_torch(torch)
        precisions = list(dict.fromkeys(target.precision for target in wanted))
        log.info("the machine's own rates")
        rates = machine.describe(precisions, torch, device if torch else "cpu")
        bench = measure.Bench(
            rounds=flags.rounds,
            products=best_products(rates),
            bytes_per_second=rates["bytes_per_second"],
            against=against,
            torch=torch,
            device=device if torch else "cpu",
            tell=log.info,
            notes=notes,
        )
        rows = [
            row
            for target in wanted
            for step in steps
            for row in measure.measure_network(bench, target, step)
        ]
        each = {"steps": [step for step in steps if step != "remat"], "every": flags.convolutions}
        found = [
            row for target in wanted for row in measure.measure_convolutions(bench, target, **each)
        ]
        about = describe(request, rates, torch, bench.notes)
        write(request, about, rows, found)


def best_products(rates: dict[str, Any]) -> dict[str, float]:
    """By precision the rate of a matrix product, of whichever library has the best."""
    return {precision: max(found.values()) for precision, found in rates["products"].items()}


def start_torch(side: torch_side.TorchSide) -> tuple[torch_side.TorchSide | None, str, list[str]]:
    """(PyTorch's process or None, its device, why there is none)."""
    backend = jax.default_backend()
    try:
        side.start()
    except torch_side.TorchError as error:
        missing = f"PyTorch is left out: {error} (in {side.python}; --torch-python names another interpreter)."
        return None, "cpu", [missing]
    if backend == "cpu":
        return side, "cpu", []
    if backend == "gpu" and side.about["gpu"]:
        return side, "cuda", []
    return (
        None,
        "cpu",
        [f"PyTorch is left out: it does not run on this {backend} in {side.python}."],
    )


def read_targets(request: Request) -> list[Target]:
    """Every network at every clip and precision. Raises UserError for what does not exist or does not fit."""
    flags = request.bench
    found = [request.config and of_config(request.config)] if not flags.networks else []
    found += [of_name(name) for name in flags.networks.split(",") if name]
    if not all(found) or not found:
        raise UserError(
            "bench needs a network, e.g. --networks r2plus1d_18,r3d_18 or --config configs/r2p1d.py."
        )
    clips = [targets.parse_clip(text) for text in flags.clips.split(",") if text]
    found = [targets.with_clip(t, clip) for t in found for clip in (clips or [t.clip[:4]])]
    precisions = [targets.check_precision(name) for name in flags.precisions.split(",") if name]
    found = [
        dataclasses.replace(t, precision=p) for t in found for p in (precisions or [t.precision])
    ]
    for target in found:
        target.program  # noqa: B018 - the network is traced now, so that it is refused now
    return found


def of_name(name: str) -> Target:
    """A variant at the default clip, or the network of a config file."""
    path, _, preset = name.partition(":")
    if path.endswith(".py"):
        return of_config(command.load_config(path, preset))
    return Target(*targets.find_variant(name), clip=(*targets.CLIP, 3))


def of_config(config: ConfigDict) -> Target:
    """The network, batch, clip and precision of a config. Raises UserError."""
    parts.check_network(config)
    family, variant, data = config.model.name, config.model.variant, config.data
    usual = models.settings(models.build(family, variant=variant, num_classes=1))
    chosen = {
        key: value
        for key, value in config.model.items()
        if key not in ("name", "variant") and value != ""
    }
    fields = tuple((key, value) for key, value in chosen.items() if value != usual[key])
    clip = (config.batch_size, data.num_frames, data.size, data.size, 3)
    return Target(family, variant, clip, config.precision, fields)


def words(text: str, flag: str, known: tuple[str, ...]) -> list[str]:
    """The words of a list, checked. Raises UserError."""
    found = [word for word in text.split(",") if word]
    for word in found:
        if word not in known:
            raise UserError(f"--{flag}: {no_such('such word', word, known)}")
    if not found:
        raise UserError(f"--{flag} is a list of {', '.join(known)}.")
    return found


def describe(request: Request, rates: dict[str, Any], torch, notes: list[str]) -> dict[str, Any]:
    """What the numbers are of: machine, versions, command, day."""
    environment = workdir.environment(request.line, devices.describe())
    versions = {name: environment["versions"][name] for name in ("jax", "jaxlib", "flax")}
    if torch is not None:
        versions["torch"] = torch.about["torch"]
    return {
        "machine": rates,
        "cores": torch_side.num_threads(),
        "torch": torch.about if torch is not None else None,
        "versions": versions,
        "date": environment["started"],
        "notes": notes,
        "flags": dataclasses.asdict(request.bench),
        "environment": environment,
    }


def write(request: Request, about: dict[str, Any], rows: list, found: list) -> None:
    """bench.json, bench.md, roofline.png, and the table on stdout."""
    folder = request.workdir
    content = {"about": about, "networks": [dataclasses.asdict(row) for row in rows]}
    content["convolutions"] = [
        dataclasses.asdict(row)
        | {"convolution": {"x": c.x, "kernel": c.kernel, **c.spec._asdict()}}
        for row in found
        for c in [row.convolution]
    ]
    workdir.write_json(folder / "bench.json", content)
    text = tables.page(about, rows, found)
    files.write_bytes(folder / "bench.md", text.encode())
    rates = about["machine"]
    ceilings = {"products": best_products(rates), "bytes_per_second": rates["bytes_per_second"]}
    picture = roofline.draw_roofline(found, **ceilings)
    if picture:
        files.write_bytes(folder / "roofline.png", picture)
    sys.stdout.write(text)
