"""train: from a config and clips on disk to checkpoints, metrics, an evaluation and a report.

The same command again resumes. Everything that a step depends on is a function of the config and
the step number, so a run that was killed ends with the same bits as one that was left alone.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import jax
import optax

from vidjax import experiment as experiments
from vidjax.core.errors import NonFiniteLoss, Preempted
from vidjax.core.names import counted
from vidjax.data import pipeline, sampling
from vidjax.data.records import Record
from vidjax.experiment import evaluation, inference, initial
from vidjax.experiment.assembly import Experiment, Lengths, use_compilation_cache
from vidjax.experiment.data import load_split, require_labels, settle_data
from vidjax.experiment.programs import Programs
from vidjax.learn import steps
from vidjax.learn.metrics import Sums
from vidjax.report import write_report
from vidjax.run import devices, progress, signals, workdir
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import Request, needs_config

log = logging.getLogger("vidjax")

ADVICE = (
    "The last checkpoint is untouched.\n"
    "In a new --workdir, a lower --config.optim.learning_rate, a longer "
    "--config.schedule.warmup_steps\nor --config.optim.clip_norm=1.0 often helps."
)


def run(request: Request) -> None:
    """Trains to the config's last step, from the latest checkpoint if there is one.

    Raises the errors of its parts.
    """
    progress.show_messages()
    config = needs_config(request)
    # What can be refused without clips or a device is refused here, before a folder is made.
    experiment = experiments.build(config)
    # The lock comes before the devices: a second process would first take their memory, and fail
    # for that.
    with workdir.opened(request.workdir), signals.caught() as stop:
        mesh = devices.make_mesh()
        devices.check_batch(config.batch_size, mesh)
        use_compilation_cache(config)
        workdir.settle_config(request.workdir, config)
        is_begun = any((request.workdir / "checkpoints").glob("*.json"))
        if config.init_from and not is_begun:
            # Fetched now if it has to be, for reading the data may take minutes.
            initial.locate(config)
        log.info("%s", experiment.source.about)
        splits = {}
        for split in ("train", "validation"):
            splits[split] = load_split(experiment, split, request.workdir)
        require_labels(splits["train"], "train")
        # Labels are indices from here on: other classes than those of an earlier start are refused.
        settle_data(request.workdir, experiment.task.classes, splits["train"])
        training = Training(request, experiment, Programs(experiment, mesh), splits, stop)
        training.run()
        if devices.is_first_process():
            log.info("report: %s", write_report(request.workdir))


@dataclass
class Training:
    """One run of training: what its steps share."""

    request: Request
    experiment: Experiment
    programs: Programs
    splits: dict[str, list[Record]]
    stop: signals.Stop
    # set by `run`, from the config and from where the run stands
    lengths: Lengths = field(init=False)
    schedule: optax.Schedule = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    best: tuple[int, float] | None = field(init=False)
    metrics: progress.Metrics = field(init=False)
    clips_log: progress.ClipsLog = field(init=False)
    line: progress.Line = field(init=False)
    clock: progress.Clock = field(init=False)
    predict: Callable = field(init=False)

    def run(self) -> None:
        """Init or restore, then steps, metrics, evaluations and checkpoints until the end."""
        experiment, folder = self.experiment, self.request.workdir
        self.lengths = experiment.lengths(len(self.splits["train"]))
        self.schedule = experiment.schedule(self.lengths.num_steps)
        warmup_steps = experiment.config.schedule.warmup_steps
        if warmup_steps >= self.lengths.num_steps:
            log.warning(
                "the warm-up takes %s and the run has %d: "
                "the learning rate never reaches its height",
                counted(warmup_steps, "step"),
                self.lengths.num_steps,
            )
        tx = experiment.optimiser(self.schedule)
        contract = inference.contract(experiment)
        self.checkpoints = Checkpoints(folder, contract=contract, clean=True)

        state, window, start = self.first_state(tx)
        # After the restore: it may have dropped later steps, which may have been the best.
        self.best = self.checkpoints.best()
        # These take back what was written after `start`, so that its lines are not there twice.
        self.metrics = progress.Metrics(folder, start)
        self.clips_log = progress.ClipsLog(folder, start)
        self.line = self.new_line(start)
        self.clock = progress.Clock()
        self.predict = self.programs.predict_step()
        try:
            if start:
                # A signal may have come between the last step and its evaluation.
                self.evaluate_if_owed(start, state)
            if start < self.lengths.num_steps:
                self.write_environment(state)
                self.loop(self.programs.train_step(tx), state, window, start=start)
        finally:
            with ExitStack() as stack:  # each is ended, whatever the others raise
                for end in (self.checkpoints.wait, self.clips_log.close, self.metrics.close):
                    stack.callback(end)

    def first_state(self, tx: optax.GradientTransformation) -> tuple[steps.State, Sums, int]:
        """(state, window, step) that training begins with. The order decides.

        First the latest good checkpoint of this folder; then, in a new run, the weights that the
        config starts from; else the random values of the seed.
        """
        config, folder = self.experiment.config, self.request.workdir
        restored = self.checkpoints.restore(self.programs.checkpoint_shapes(tx))
        if restored is not None:
            start, tree = restored
            # Later steps are damaged ones, or they would have been restored; they are made again.
            self.checkpoints.drop_after(start)
            if start < self.lengths.num_steps:
                log.info("%s goes on at step %d of %d", folder, start, self.lengths.num_steps)
            else:
                log.info("%s has done its %s", folder, counted(start, "step"))
            return tree["state"], tree["window"], start
        state = self.programs.init_state(tx)
        if config.init_from:
            state = initial.start_from(
                config, state, module=self.experiment.module, mesh=self.programs.mesh
            )
        return state, self.programs.empty_window(), 0

    def new_line(self, start: int) -> progress.Line:
        """The progress line; what it says of generated clips is marked."""
        task = self.experiment.task

        def describe(scalars):
            texts = [f"loss {scalars['train/loss']:.3f}"]
            for name in task.train_metrics:
                texts.append(task.scalar(name).text(scalars[f"train/{name}"]))
            return texts

        note = "  (synthetic)" if self.experiment.source.synthetic else ""
        return progress.Line(self.lengths.num_steps, start, describe=describe, note=note)

    def evaluate_if_owed(self, start: int, state: steps.State) -> None:
        """The evaluation that a run owes if it was stopped between a step and its evaluation."""
        is_owed = self.is_due(start, self.lengths.eval_steps) and not self.metrics.evaluated(start)
        if is_owed:
            score = self.evaluate(start, state)
            self.leave_if_stopped(start)
            self.checkpoints.set_score(start, score)
            self.best = self.checkpoints.best()

    def loop(self, step: Callable, state: steps.State, window: Sums, *, start: int) -> None:
        """The steps from `start` on; one is under way while the batch of the next is prepared."""
        scalars: dict[str, float] = {}
        batches = self.batches(start)
        for number in range(start + 1, self.lengths.num_steps + 1):
            batch = self.clock.waiting(batches)
            # The ids stay on the host, so their hash is made before the batch leaves it.
            digest = self.clips_hash(number - 1, batch["id"])
            batch = self.programs.device_batch(batch)
            if number == start + 1:
                step = self.compiled(step, state, window, batch)
            self.clips_log.write(number, digest)
            # The call returns at once; the device works while the next batch is prepared.
            before = window
            state, window = step(state, window, batch)
            self.clock.count(self.experiment.config.batch_size)
            # Looks at the step before, so that this one is under way meanwhile.
            self.check_finite(before, number - 1)

            if self.is_due(number, self.lengths.log_steps):
                self.check_finite(window, number)
                scalars = self.write_scalars(number, window)
                window = self.programs.empty_window()
            self.line.show(number, scalars)

            score = None
            if self.is_due(number, self.lengths.eval_steps):
                score = self.evaluate(number, state)
            is_best = score is not None and (self.best is None or score >= self.best[1])
            if is_best:
                self.best = number, score
            # A signal is a reason to save as well: what was done is not lost.
            if is_best or self.stop or self.is_due(number, self.lengths.checkpoint_steps):
                self.save(number, {"state": state, "window": window}, score=score)
            self.leave_if_stopped(number)

    def is_due(self, number: int, every: int) -> bool:
        """Whether something that happens every so many steps, and at the last, happens now."""
        return number % every == 0 or number == self.lengths.num_steps

    def compiled(self, step: Callable, *arguments: Any) -> Callable:
        """The program of a step, compiled here so that it can be announced and timed."""
        log.info("compiling the training step: seconds to minutes, unless it was done before")
        began = time.monotonic()
        program = step.lower(*arguments).compile()
        log.info("compiled in %.0f s", self.leave_out(began))
        return program

    def leave_out(self, began: float) -> float:
        """Takes the time since `began` out of the rates; returns it in seconds."""
        seconds = time.monotonic() - began
        self.clock.skip(seconds)
        self.line.pause(seconds)
        return seconds

    def save(self, number: int, tree: dict[str, Any], *, score: float | None) -> None:
        """Starts to write a checkpoint; what the logs say up to here is on disk first."""
        # A bad parameter can come from a finite gradient (a rate too high), so both are looked at.
        self.check_finite(tree["window"], number)
        if not steps.is_finite(tree["state"]):
            raise NonFiniteLoss(f"A parameter is not finite after step {number}. {ADVICE}")
        # In this order: a checkpoint must not be ahead of the logs that belong to it.
        self.metrics.flush()
        self.clips_log.flush()
        self.checkpoints.save(number, tree, score=score)

    def leave_if_stopped(self, number: int) -> None:
        """Raises Preempted, once the checkpoint of step `number` counts."""
        if self.stop:
            # The save goes on in a thread; an exit now would leave it half-written.
            self.checkpoints.wait()
            raise Preempted(
                f"stopped by {self.stop.name}, saved at step {number}; "
                "the same command goes on from there."
            )

    def batches(self, start: int) -> Iterator[pipeline.Batch]:
        """This process's batches from a step on."""
        config = self.experiment.config
        return pipeline.train_batches(
            self.splits["train"],
            self.experiment.clips,
            encode=self.experiment.task.encode,
            flow=self.experiment.flow,
            seed=config.seed,
            batch_size=config.batch_size,
            start_step=start,
            num_steps=self.lengths.num_steps,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )

    def clips_hash(self, step: int, ids: Any) -> str:
        """What `clips.log` says of a step: the clips of its batch, over all processes."""
        config = self.experiment.config
        if jax.process_count() > 1:
            # This process has seen only its own rows of the batch.
            num_clips = len(self.splits["train"])
            ids = pipeline.train_clips(
                step, num_clips, seed=config.seed, batch_size=config.batch_size
            )
        return sampling.log_hash(ids)

    def write_scalars(self, number: int, window: Sums) -> dict[str, float]:
        """Divides the sums since the last time and writes them."""
        measured = self.experiment.task.metrics_of_training()
        result = steps.finish(measured, jax.device_get(window), {}, prefix="train/")
        scalars = dict(result.scalars)
        del scalars["train/num_clips"]  # the batch size times the steps: no news
        scalars["train/learning_rate"] = float(self.schedule(number - 1))
        scalars |= self.clock.read()
        self.metrics.write(number, scalars)
        return scalars

    def evaluate(self, number: int, state: steps.State) -> float | None:
        """Evaluates the validation split, writes the result and returns the score that counts.

        None where a signal came meanwhile, or nothing could be scored.
        """
        began = time.monotonic()
        records = self.splits["validation"]
        self.line.busy(f"step {number}: evaluating {len(records):,} clips")
        answers = evaluation.evaluate(
            self.programs,
            records,
            predict=self.predict,
            variables=steps.eval_variables(state),
            stop=self.stop,
        )
        if answers is None:
            return None
        evaluation.write(
            self.request.workdir,
            self.experiment,
            answers,
            records=records,
            scores_of=self.programs.scores_of(steps.eval_variables(state)),
            split="validation",
            step=number,
        )
        self.metrics.write(number, evaluation.scalars_of(answers))
        evaluation.say(self.experiment, answers, split="validation", step=number)
        self.leave_out(began)
        score = answers.scalars[self.experiment.task.best]
        if math.isnan(score):  # no clip has what it is about
            return None
        return score

    def check_finite(self, window: Sums, number: int) -> None:
        """Raises NonFiniteLoss, before anything of such a step is saved."""
        if not steps.all_finite(window):
            raise NonFiniteLoss(f"The loss or a gradient is not finite at step {number}. {ADVICE}")

    def write_environment(self, state: steps.State) -> None:
        """`env.json`: what runs, on what, over which data."""
        source, config = self.experiment.source, self.experiment.config
        data = {
            "name": config.data.name,
            "about": source.about,
            "synthetic": source.synthetic,
            "root": config.data.root,
            "num_classes": len(self.experiment.task.classes),
            "splits": {split: len(records) for split, records in self.splits.items()},
        }
        num_parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
        environment = workdir.environment(
            self.request.line,
            devices.describe(),
            num_processes=jax.process_count(),
            num_parameters=num_parameters,
            task=self.experiment.task.about(),
            data=data,
        )
        workdir.write_json(self.request.workdir / "env.json", environment)
        log.info(
            "%s %s, %s parameters, %s of %s on %s",
            config.model.name,
            config.model.variant,
            f"{num_parameters:,}",
            counted(self.lengths.num_steps, "step"),
            counted(config.batch_size, "clip"),
            ", ".join(environment["devices"]),
        )
