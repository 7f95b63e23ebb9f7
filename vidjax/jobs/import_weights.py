"""import_weights: weights of another code base -> a work folder of ours at step 0, or safetensors.

The folder is what a run leaves: it can be evaluated, and `--config.init_from` starts a run from it.
With `--to`, weights of any kind, those of a run included, are written as one safetensors file with
our names instead.
"""

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vidjax import convert
from vidjax import experiment as experiments
from vidjax.core.errors import UserError
from vidjax.experiment import checks, inference, initial, weights
from vidjax.experiment.assembly import Experiment, assemble
from vidjax.experiment.programs import Programs
from vidjax.run import devices, workdir
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import Request
from vidjax.run.progress import show_messages

log = logging.getLogger("vidjax")


def add_flags(parser) -> None:
    """--from and --to."""
    parser.add_argument(
        "--from",
        default="",
        dest="source",
        metavar="FILE",
        help="weights, a work folder, or published weights by name: torchvision:r3d_18",
    )
    parser.add_argument(
        "--to", default="", metavar="FILE", help="write safetensors in place of a work folder"
    )


def default_workdir(flags) -> Path:
    """weights/<name of the file or network>: imported weights are no run."""
    name = Path(flags.source.rpartition(":")[2]).stem or Path(flags.config.partition(":")[0]).stem
    return Path("weights", name)


def run(request: Request) -> None:
    """Reads `--from`, writes `--to` or the work folder.

    Raises UserError, ConvertError, StorageError.
    """
    show_messages()
    flags = request.flags
    if not flags.source:
        raise UserError(
            "import_weights needs --from FILE, e.g. --from r3d_18.pth or --from torchvision:r3d_18 "
            "(or a work folder, with --to FILE)."
        )
    path = weights.locate(flags.source, request.config)
    source = weights.read(path)
    count = sum(array.size for array in jax.tree.leaves(source.variables["params"]))
    log.info("%s: %s, %s parameters", path, source, f"{count:,}")
    if flags.to:
        convert.save(Path(flags.to), source.module, source.variables, clip=source.clip)
        log.info("written: %s", flags.to)
    elif request.config is None:
        raise UserError(
            "Name a config of that family to keep the weights for, e.g. --config configs/r3d.py."
        )
    else:
        keep(request, path, source)


def keep(request: Request, path: Path, source: weights.Weights) -> None:
    """Writes the work folder: a checkpoint of step 0 with these weights."""
    config = request.config
    checks.check_network(config)
    # The file decides about variant and width, unless a flag said otherwise.
    weights.adopt(config, source, request.overridden)
    experiments.check(config)
    experiment = assemble_for(config, source.num_classes)
    with workdir.opened(request.workdir):
        # Step 0 would be passed over in favour of any step that is there, silently.
        if Checkpoints(request.workdir).steps():
            raise UserError(
                f"There are checkpoints in {request.workdir}; name another --workdir, or remove it."
            )
        programs = Programs(experiment, devices.make_mesh())
        # A whole state, optimiser included, so that the folder is like that of a run.
        state = programs.init_state(experiment.optimiser(experiment.schedule(num_steps=1)))
        target = {"params": state.params, "batch_stats": state.batch_stats}
        _, fit = initial.fitted({path: source}, target, config=config)
        if fit.replaced:
            log.warning("%s", initial.about_head([source], experiment.module))
        state = weights.with_variables(state, fit.variables, programs.mesh)
        workdir.settle_config(request.workdir, config)
        workdir.write_json(
            request.workdir / "weights.json", provenance(path, source, name=request.flags.source)
        )
        checkpoints = Checkpoints(request.workdir, contract=inference.contract(experiment))
        checkpoints.save(0, {"state": state, "window": programs.empty_window()})
        checkpoints.wait()
    folder = request.workdir
    log.info("written: %s; a run starts from it with --config.init_from=%s", folder, folder)


def assemble_for(config: ConfigDict, num_logits: int) -> Experiment:
    """The experiment whose head has so many logits. Raises UserError."""
    # The file has no names of classes; a run that starts from the folder has its own.
    names = tuple(f"class {index}" for index in range(num_logits))
    experiment = assemble(config, source=None, classes=names, mirror=None)
    # Some logits are of no class, such as that of the background in detection.
    num_others = experiment.task.num_logits - num_logits
    if num_others == 0:
        return experiment
    return assemble(config, source=None, classes=names[: num_logits - num_others], mirror=None)


def provenance(path: Path, source: weights.Weights, *, name: str) -> dict[str, Any]:
    """Where the weights are from: what `weights.json` holds. `name` is what the user asked for."""
    origin = {
        "name": name,
        "file": str(path.absolute()),
        "imported": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "network": str(source),
    }
    if path.is_file():
        with open(path, "rb") as file:
            origin["bytes"] = path.stat().st_size
            origin["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return origin
