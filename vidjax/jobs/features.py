"""features: what a network gives at an endpoint for every clip, as files for other programs.

The network is that of a run, or published weights: a config with `init_from`. `configs/probe.py`
trains a head on such files. `data/feature_files.py` describes the files.
"""

import logging
from pathlib import Path
from typing import Any

from vidjax import experiment as experiments
from vidjax.core.errors import UserError
from vidjax.core.names import no_such
from vidjax.data import feature_files
from vidjax.experiment import features, inference, initial
from vidjax.experiment.assembly import use_compilation_cache
from vidjax.experiment.data import load_split, settle_data
from vidjax.experiment.programs import Programs
from vidjax.jobs import evaluate
from vidjax.learn import steps
from vidjax.run import devices, workdir
from vidjax.run.command import Request, needs_config
from vidjax.run.config import nearest_run
from vidjax.run.progress import show_messages

log = logging.getLogger("vidjax")

READS_RUN = True  # the folder says what was trained


def add_flags(parser) -> None:
    """--endpoint, --pool, --splits, --checkpoint and --output."""
    parser.add_argument(
        "--endpoint",
        default="features",
        metavar="NAME",
        help="stem, stage1, ... (default: features)",
    )
    parser.add_argument(
        "--pool",
        default="all",
        help="average over: none, space, or all, time and space (default: all)",
    )
    parser.add_argument(
        "--splits", default="train,validation", help="with commas (default: train,validation)"
    )
    parser.add_argument(
        "--checkpoint", default="best", help="of a run: best, latest, or a step (default: best)"
    )
    parser.add_argument(
        "--output", default="", metavar="DIR", help="default: features/ in the work folder"
    )


def run(request: Request) -> None:
    """Writes the features of each split. Raises the errors of its parts."""
    show_messages()
    config, flags = needs_config(request), request.flags
    if flags.pool not in features.POOLS:
        raise UserError(f"--pool: {no_such('average', flags.pool, list(features.POOLS))}")
    has_run = any((request.workdir / "checkpoints").glob("*.json"))
    refuse_no_weights(request, has_run=has_run)
    experiment = experiments.build(config)
    splits = [split for split in flags.splits.split(",") if split]
    if not splits:
        raise UserError("--splits names no split, e.g. --splits train,validation.")
    folder = Path(flags.output) if flags.output else request.workdir / "features"
    with workdir.opened(request.workdir):
        use_compilation_cache(config)
        mesh = devices.make_mesh()
        devices.check_batch(config.batch_size, mesh)
        if not has_run:
            # Fetched now if it has to be, for reading the data may take minutes.
            initial.locate(config)
        log.info("%s", experiment.source.about)
        records = {}
        for split in splits:
            records[split] = load_split(experiment, split, request.workdir)
        programs = Programs(experiment, mesh)
        if has_run:
            settle_data(request.workdir, experiment.task.classes)
            step, variables = evaluate.restore(programs, request.workdir, flags.checkpoint)
            origin = {"run": str(request.workdir), "step": step}
        else:
            variables = published(programs)
            origin = {"init_from": config.init_from}
        extractor = features.extractor(
            programs, variables, endpoint=flags.endpoint, pool=flags.pool
        )
        about = {**describe(request, experiment), **origin, "shape": list(extractor.shape)}
        written = {}
        if devices.is_first_process():
            written = feature_files.begin(folder, about)
        for split in splits:
            log.info("%s: %d clips, %s each", split, len(records[split]), list(extractor.shape))
            written[split] = write(
                folder,
                split,
                programs,
                records=records[split],
                extractor=extractor,
                variables=variables,
            )
        if devices.is_first_process():
            index = {**about, "command": request.line, "splits": written}
            feature_files.write_index(folder, index)
            log.info("written: %s", folder)
            # Features are stored with the labels of clips; labels of frames and places are not.
            if experiment.task.answers == "clip":
                log.info("a head learns from them with")
                task = config.task.name
                words = "" if task == "classification" else f" --config.task.name={task}"
                log.info("  --config configs/probe.py --config.data.root=%s%s", folder, words)


def refuse_no_weights(request: Request, *, has_run: bool) -> None:
    """Raises UserError where there is nothing to take features from, or two things."""
    init_from = request.config.init_from
    if not has_run and not init_from:
        raise UserError(
            f"There is no run in {request.workdir}, and the config starts from no weights."
            f"{nearest_run(request.workdir)}\n"
            "Name the folder of a run with --workdir, or weights with "
            "--config.init_from=torchvision:r3d_18."
        )
    if has_run and "init_from" in request.overridden:
        raise UserError(
            f"{request.workdir} holds a run, whose features are those of its own checkpoint.\n"
            f"For the features of {init_from} name another --workdir."
        )


def published(programs: Programs) -> steps.Variables:
    """The weights that the config starts from, in its network, with a head that nobody reads."""
    experiment = programs.experiment
    config = experiment.config
    state = programs.init_state(experiment.optimiser(experiment.schedule(num_steps=1)))
    state = initial.start_from(config, state, module=experiment.module, mesh=programs.mesh)
    return steps.eval_variables(state)


def write(
    folder: Path,
    split: str,
    programs: Programs,
    *,
    records: list,
    extractor: features.Extractor,
    variables: Any,
) -> dict[str, Any]:
    """Writes a split, in the first process; says how many clips and which shards there are."""
    arrays = features.rows(programs, records, extractor.program, variables=variables)
    if not devices.is_first_process():
        for _ in arrays:  # every process takes part in the computation
            pass
        return {}
    shards = feature_files.write_split(folder, split, records=records, rows=arrays)
    return {"num_clips": len(records), "shards": shards}


def describe(request: Request, experiment: experiments.Experiment) -> dict[str, Any]:
    """What features.json says of the features besides their origin, shape and splits."""
    config, source = request.config, experiment.source
    return {
        "endpoint": request.flags.endpoint,
        "pool": request.flags.pool,
        "dtype": "float32",
        "network": f"{config.model.name} {config.model.variant}",
        "task": experiment.task.name,
        "classes": list(experiment.task.classes),
        "about": source.about,
        "synthetic": source.synthetic,
        "frames_per_second": source.frames_per_second,
        "contract": inference.contract(experiment),
    }
