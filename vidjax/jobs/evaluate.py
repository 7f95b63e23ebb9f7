"""evaluate: a checkpoint on a split; the scores are printed, written and put into the report."""

import logging

from vidjax import experiment as experiments
from vidjax.core.errors import UserError
from vidjax.experiment import evaluation
from vidjax.experiment.assembly import use_compilation_cache
from vidjax.experiment.data import load_split, require_labels, settle_data
from vidjax.experiment.programs import Programs
from vidjax.learn import steps
from vidjax.report import write_report
from vidjax.run import devices, workdir
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import Request
from vidjax.run.progress import show_messages

log = logging.getLogger("vidjax")

READS_RUN = True  # the folder says what was trained


def add_flags(parser) -> None:
    """--split and --checkpoint."""
    parser.add_argument("--split", default="validation", help="default: validation")
    parser.add_argument(
        "--checkpoint", default="best", help="best, latest, or a step (default: best)"
    )


def run(request: Request) -> None:
    """Evaluates. Raises UserError where there is no such run, checkpoint or split."""
    show_messages()
    config, split = request.config, request.flags.split
    if config is None or not (request.workdir / "checkpoints").is_dir():
        raise UserError(
            f"There is no run to evaluate in {request.workdir}. "
            "--workdir names the folder of a training run."
        )
    experiment = experiments.build(config)
    # The lock, because the evaluation is written into the folder of a run that may be under way.
    with workdir.opened(request.workdir):
        use_compilation_cache(config)
        mesh = devices.make_mesh()
        devices.check_batch(config.batch_size, mesh)
        log.info("%s", experiment.source.about)
        records = load_split(experiment, split, request.workdir)
        require_labels(records, split)
        # Without training clips it only compares the classes, whose order the weights depend on.
        settle_data(request.workdir, experiment.task.classes)

        programs = Programs(experiment, mesh)
        step, variables = restore(request, programs)
        answers = evaluation.evaluate(
            programs, records, predict=programs.predict_step(), variables=variables
        )
        evaluation.write(
            request.workdir,
            programs,
            answers,
            records=records,
            variables=variables,
            split=split,
            step=step,
        )
        evaluation.say(experiment, answers, split=split, step=step)
        if devices.is_first_process():
            log.info("report: %s", write_report(request.workdir, split=split))


def restore(request: Request, programs: Programs) -> tuple[int, steps.Variables]:
    """(step, variables) of the checkpoint, the averaged variables where the run kept any."""
    experiment = programs.experiment
    # Any length of run will do: only the shapes of the optimiser's state matter.
    tx = experiment.optimiser(experiment.schedule(num_steps=1))
    shapes = programs.checkpoint_shapes(tx)
    restored = Checkpoints(request.workdir).restore(shapes, step=request.flags.checkpoint)
    if restored is None:
        raise UserError(f"There is no checkpoint in {request.workdir} yet.")
    step, tree = restored
    return step, steps.eval_variables(tree["state"])
