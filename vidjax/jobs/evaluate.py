"""evaluate: a checkpoint of a work folder on a split; what it finds is printed, written and put into the report."""

import logging

from vidjax.core.errors import UserError
from vidjax.experiment import evaluating, parts, programs
from vidjax.experiment.data import load_split, settle_data
from vidjax.learn import steps
from vidjax.report import write_report
from vidjax.run import devices, workdir
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import Request
from vidjax.run.progress import show_messages

log = logging.getLogger("vidjax")


def run(request: Request) -> None:
    """Evaluates `--checkpoint` on `--split`. Raises UserError where there is no such run, checkpoint or split."""
    show_messages()
    config = request.config
    if config is None or not (request.workdir / "checkpoints").is_dir():
        raise UserError(
            f"There is no run to evaluate in {request.workdir}. --workdir names the folder of a training run."
        )
    parts.check(config)
    source = parts.source(config)
    module = parts.network(config, len(source.classes))
    with workdir.opened(request.workdir):
        parts.use_compilation_cache(config)
        mesh = devices.make_mesh()
        devices.check_batch(config.batch_size, mesh)
        log.info("%s", source.about)
        records = load_split(source, request.split, config, request.workdir)
        if not all(record.label for record in records):
            raise UserError(f"The {request.split} split has no labels to compare with.")
        settle_data(request.workdir, source.classes)
        step, variables = restore(request, module, mesh)
        predict = programs.make_predict_step(config, module, mesh)
        clips = {"records": records, "classes": source.classes}
        result = evaluating.evaluate(
            config, **clips, predict=predict, variables=variables, mesh=mesh
        )
        evaluating.write(request.workdir, config, result, split=request.split, step=step, **clips)
        evaluating.say(request.split, step, result.scalars, source)
        if devices.is_first_process():
            log.info("report: %s", write_report(request.workdir, split=request.split))


def restore(request: Request, module, mesh) -> tuple[int, dict]:
    """(step, variables) of the checkpoint that was asked for, the averaged ones where the run kept any."""
    config = request.config
    tx = parts.optimiser(config, parts.schedule(config, 1))
    shapes = programs.checkpoint_shapes(config, module, tx=tx, mesh=mesh)
    found = Checkpoints(request.workdir).restore(shapes, step=request.checkpoint)
    if found is None:
        raise UserError(f"There is no checkpoint in {request.workdir} yet.")
    step, tree = found
    return step, steps.eval_variables(tree["state"])
