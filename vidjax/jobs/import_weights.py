"""import_weights: a file of somebody else's weights -> a work folder of ours at step 0, or -> safetensors.

The folder is what a run leaves: it can be evaluated, and `--config.init_from` starts a run from it. With `--to` weights
of any kind, those of a run included, are written as one safetensors file with our names instead.
"""

import hashlib
import logging
import time
from pathlib import Path

import jax

from vidjax import convert
from vidjax.core.errors import UserError
from vidjax.experiment import parts, programs, weights
from vidjax.run import devices, workdir
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import Request
from vidjax.run.progress import show_messages

log = logging.getLogger("vidjax")


def run(request: Request) -> None:
    """Reads `--from`, writes `--to` or the work folder. Raises UserError, ConvertError, StorageError."""
    show_messages()
    if not request.source:
        raise UserError(
            "import_weights needs --from FILE, e.g. --from r3d_18.pth (or a work folder, with --to FILE)."
        )
    path = Path(request.source)
    found = weights.read(path)
    count = sum(a.size for a in jax.tree.leaves(found.variables["params"]))
    log.info("%s: %s, %s parameters", path, found, f"{count:,}")
    if request.to:
        convert.save(Path(request.to), found.module, found.variables, clip=found.clip)
        log.info("written: %s", request.to)
    elif request.config is None:
        raise UserError(
            "Name a config of that family to keep the weights for, e.g. --config configs/r3d.py."
        )
    else:
        write_folder(request, path, found)


def write_folder(request: Request, path: Path, found: weights.Weights) -> None:
    """A work folder with one checkpoint, of step 0, that holds the weights and a fresh optimiser."""
    config = request.config
    weights.adopt(config, found, request.overridden)
    parts.check(config)
    module = parts.network(config, found.num_classes)
    with workdir.opened(request.workdir):
        if Checkpoints(request.workdir).steps():
            raise UserError(
                f"There are checkpoints in {request.workdir}; name another --workdir, or remove it."
            )
        mesh = devices.make_mesh()
        tx = parts.optimiser(config, parts.schedule(config, 1))
        state = programs.init_state(config, module, tx=tx, mesh=mesh)
        target = {"params": state.params, "batch_stats": state.batch_stats}
        variables = weights.fitted(path, found, target, config).variables
        state = weights.with_variables(state, variables, mesh)
        workdir.settle_config(request.workdir, config)
        workdir.write_json(request.workdir / "weights.json", provenance(path, found))
        checkpoints = Checkpoints(request.workdir)
        checkpoints.save(0, {"state": state, "window": programs.empty_window(mesh)})
        checkpoints.wait()
    log.info(
        "written: %s; a run starts from it with --config.init_from=%s",
        request.workdir,
        request.workdir,
    )


def provenance(path: Path, found: weights.Weights) -> dict[str, object]:
    """Where the weights are from: what `weights.json` holds."""
    out = {
        "file": str(path.absolute()),
        "imported": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "network": str(found),
    }
    if path.is_file():
        with open(path, "rb") as file:
            out |= {
                "bytes": path.stat().st_size,
                "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            }
    return out
