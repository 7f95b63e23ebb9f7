"""evaluate: a checkpoint on a split; the scores are printed, written and put into the report.

With `--runs A B`, the scores of several runs are fused into one evaluation (`experiment.fusion`).
Each run is evaluated by its own config. Where its folder has the scores of the wanted checkpoint
already, they are taken from there; nothing is written into these folders.
"""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidjax import experiment as experiments
from vidjax.core.errors import UserError
from vidjax.core.names import counted, no_such
from vidjax.experiment import evaluation, fusion
from vidjax.experiment.assembly import assemble, use_compilation_cache
from vidjax.experiment.data import load_split, read_classes, require_labels, settle_data
from vidjax.experiment.programs import Programs
from vidjax.learn import steps
from vidjax.report import write_report
from vidjax.run import devices, workdir
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import Request
from vidjax.run.config import nearest_run, read_config
from vidjax.run.progress import show_messages
from vidjax.tasks import LOSS, Answers, Task

log = logging.getLogger("vidjax")

READS_RUN = True  # the folder says what was trained


def add_flags(parser) -> None:
    """--split and --checkpoint; --runs, --weights and --fit."""
    parser.add_argument("--split", default="validation", help="default: validation")
    parser.add_argument(
        "--checkpoint", default="best", help="best, latest, or a step (default: best)"
    )
    parser.add_argument(
        "--runs", nargs="+", default=[], metavar="DIR", help="work folders whose scores are fused"
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        type=float,
        metavar="W",
        help="of the average, one a run (default: equal ones)",
    )
    parser.add_argument(
        "--fit",
        default="",
        help="on the training split: weights, or svm, a linear SVM on the stacked scores",
    )


def run(request: Request) -> None:
    """Evaluates. Raises UserError where there is no such run, checkpoint or split."""
    show_messages()
    refuse_flags(request)
    if request.flags.runs:
        evaluate_together(request)
        return
    config, split = request.config, request.flags.split
    if config is None or not (request.workdir / "checkpoints").is_dir():
        raise UserError(
            f"There is no run to evaluate in {request.workdir}."
            f"{nearest_run(request.workdir)} "
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
        step, variables = restore(programs, request.workdir, request.flags.checkpoint)
        answers = evaluation.evaluate(
            programs, records, predict=programs.predict_step(), variables=variables
        )
        evaluation.write(
            request.workdir,
            experiment,
            answers,
            records=records,
            scores_of=programs.scores_of(variables),
            split=split,
            step=step,
        )
        evaluation.say(experiment, answers, split=split, step=step)
        if devices.is_first_process():
            log.info("report: %s", write_report(request.workdir, split=split))


def restore(programs: Programs, run: Path, checkpoint: str) -> tuple[int, steps.Variables]:
    """(step, variables) of a checkpoint, the averaged variables where the run kept any."""
    experiment = programs.experiment
    # Any length of run will do: only the shapes of the optimiser's state matter.
    tx = experiment.optimiser(experiment.schedule(num_steps=1))
    shapes = programs.checkpoint_shapes(tx)
    restored = Checkpoints(run).restore(shapes, step=checkpoint)
    if restored is None:
        raise UserError(f"There is no checkpoint in {run} yet.")
    step, tree = restored
    return step, steps.eval_variables(tree["state"])


def refuse_flags(request: Request) -> None:
    """Raises UserError for flags about several runs that contradict each other."""
    flags = request.flags
    if not flags.runs:
        if flags.weights or flags.fit:
            raise UserError(
                "--weights and --fit are about several runs: name them with --runs A B."
            )
        return
    if len(flags.runs) < 2:
        raise UserError("--runs needs two work folders or more, e.g. --runs runs/rgb runs/flow.")
    if flags.fit and flags.fit not in fusion.FITS:
        raise UserError(f"--fit: {no_such('fit', flags.fit, fusion.FITS)}")
    if flags.weights and flags.fit:
        raise UserError("--weights are given, so that --fit has nothing to do; leave one out.")
    if flags.weights and len(flags.weights) != len(flags.runs):
        raise UserError(
            f"There are {len(flags.runs)} runs and {len(flags.weights)} --weights; one a run."
        )
    are_weights = all(math.isfinite(weight) and weight >= 0 for weight in flags.weights)
    if flags.weights and not (are_weights and sum(flags.weights) > 0):
        raise UserError("--weights are numbers of 0 or more, and not all 0.")
    for run in map(Path, flags.runs):
        if not (run / "checkpoints").is_dir() or not (run / "config.json").is_file():
            raise UserError(f"There is no run in {run}. --runs names folders of training runs.")
    if flags.workdir and (request.workdir / "checkpoints").is_dir():
        raise UserError(
            f"{request.workdir} holds a run, whose evaluation would be replaced by that of several."
            "\nName another --workdir."
        )


def evaluate_together(request: Request) -> None:
    """The scores of several runs as one evaluation, printed, and written into --workdir."""
    flags, split = request.flags, request.flags.split
    runs = [Path(run) for run in flags.runs]
    answers = answers_of(runs, split, flags.checkpoint)
    training = answers_of(runs, "train", flags.checkpoint) if flags.fit else []
    if training and training[0].classes != answers[0].classes:
        raise UserError(
            f"evaluation/train.npz of {runs[0]} was written for other classes than "
            f"evaluation/{split}.npz.\n"
            "Remove both, and the same command evaluates the run again."
        )
    # The task of the first run; require_agreement has seen that all have the same classes.
    config = read_config(runs[0] / "config.json")
    experiment = assemble(config, source=None, classes=answers[0].classes, mirror=None)
    task = experiment.task
    rows = []
    for answer in answers:
        alone = fusion.fuse(task, [answer]).answers
        rows.append([str(answer.run), answer.step, alone.scalars[task.best]])
        log.info("%s at step %d: %s", answer.run, answer.step, scores_text(task, alone))
    fused = fusion.fuse(task, answers, weights=flags.weights, fit=flags.fit, training=training)
    if flags.workdir:
        write_fused(request, experiment, fused, runs=rows)
    how = "linear SVM"
    if "weights" in fused.how:
        how = "weights " + ", ".join(f"{weight:.3f}" for weight in fused.how["weights"])
    log.info("%s of %d runs (%s): %s", split, len(runs), how, scores_text(task, fused.answers))


def write_fused(
    request: Request, experiment: experiments.Experiment, fused: fusion.Fused, *, runs: list[list]
) -> None:
    """Writes the evaluation, how it was fused, and the report into the work folder.

    `runs` has a row [folder, step, score] for each run, which the page shows as a table.
    """
    split, folder = request.flags.split, request.workdir
    best = experiment.task.scalar(experiment.task.best)
    columns = [
        {"title": "run", "unit": ""},
        {"title": "step", "unit": ""},
        {"title": f"{best.title} alone", "unit": best.unit},
    ]
    rows = [list(row) for row in runs]
    if "weights" in fused.how:
        columns.append({"title": "weight", "unit": ""})
        for row, weight in zip(rows, fused.how["weights"], strict=True):
            row.append(round(weight, 3))
    table = {"kind": "table", "title": "Runs", "columns": columns, "rows": rows}
    with workdir.opened(folder):
        evaluation.write(
            folder,
            experiment,
            fused.answers,
            records=(),
            split=split,
            step=None,
            more_sections=(table,),
        )
        of_runs = [{"run": run, "step": step} for run, step, _ in runs]
        workdir.write_json(folder / "fusion.json", {"split": split, "runs": of_runs, **fused.how})
        # What the page says of the data, that they are synthetic for instance, is in the runs.
        environment = workdir.environment(
            request.line, [], task=experiment.task.about(), data=data_of(Path(runs[0][0]))
        )
        workdir.write_json(folder / "env.json", environment)
        if devices.is_first_process():
            log.info("report: %s", write_report(folder, split=split))


def data_of(run: Path) -> dict[str, Any]:
    """What `env.json` of a run says of its data; {} where there is no such file."""
    try:
        return dict(json.loads((run / "env.json").read_text())["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def answers_of(runs: Sequence[Path], split: str, checkpoint: str) -> list[fusion.RunAnswers]:
    """The scores of each run on a split, which are about the same clips. Raises UserError."""
    for run in runs:
        fusion.require_task(task_of(run))
    answers = []
    for run in runs:
        answer = fusion.stored(run, split, checkpoint=checkpoint)
        if answer is None:
            log.info("%s: evaluating the %s split", run, split)
            answer = evaluate_run(run, split, checkpoint)
        answers.append(answer)
    fusion.require_agreement(answers, split)
    return answers


def task_of(run: Path) -> Task:
    """The task of a run, by its own files, before anything is evaluated."""
    config = read_config(run / "config.json")
    classes = read_classes(run)
    return assemble(config, source=None, classes=classes, mirror=None).task


def evaluate_run(run: Path, split: str, checkpoint: str) -> fusion.RunAnswers:
    """The scores of a run on a split, by its own config; nothing is written into its folder."""
    config = read_config(run / "config.json")
    experiment = experiments.build(config)
    use_compilation_cache(config)
    mesh = devices.make_mesh()
    devices.check_batch(config.batch_size, mesh)
    records = load_split(experiment, split)
    require_labels(records, split)
    settle_data(run, experiment.task.classes)
    programs = Programs(experiment, mesh)
    step, variables = restore(programs, run, checkpoint)
    answers = evaluation.evaluate(
        programs, records, predict=programs.predict_step(), variables=variables
    )
    return fusion.RunAnswers(
        run=run,
        step=step,
        ids=tuple(answers.ids),
        classes=tuple(experiment.task.classes),
        label=answers.rows["label"],
        scores=answers.rows["scores"],
    )


def scores_text(task: Task, answers: Answers) -> str:
    """'top-1 93.9 %, ..., 540 clips'."""
    texts = []
    for scalar in (*task.shown, LOSS):
        texts.append(scalar.text(answers.scalars[scalar.name]))
    return f"{', '.join(texts)}, {counted(len(answers.ids), 'clip')}"
