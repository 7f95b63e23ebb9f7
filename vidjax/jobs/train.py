"""train: from a config and clips on disk to checkpoints, metrics, an evaluation and a report.

The same command again resumes: everything that a step depends on is a function of the config and the step number, so a
killed run ends with the same bits as one that was left alone.
"""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax.core.errors import NonFiniteLoss, Preempted, UserError
from vidjax.data import pipeline, sampling
from vidjax.data.sources import Record
from vidjax.experiment import evaluating, parts, programs, weights
from vidjax.experiment.data import load_split, settle_data
from vidjax.learn import steps
from vidjax.report import write_report
from vidjax.run import devices, progress, signals, workdir
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import Request

log = logging.getLogger("vidjax")

ADVICE = (
    "The last checkpoint is untouched.\n"
    "A lower --config.optim.learning_rate, a longer schedule.warmup_steps or optim.clip_norm=1.0 often helps."
)


def run(request: Request) -> None:
    """Trains to the config's last step, from the latest checkpoint if there is one. Raises the errors of its parts."""
    progress.show_messages()
    config = request.config
    if config is None:
        raise UserError("train needs a config, e.g. --config configs/r2p1d.py.")
    parts.check(config)
    source = parts.source(config)
    module = parts.network(config, len(source.classes))
    augment = parts.augmentation(config, source)
    # The lock comes before the devices: a second process would first take their memory, and fail for that.
    with workdir.opened(request.workdir), signals.caught() as stop:
        mesh = devices.make_mesh()
        devices.check_batch(config.batch_size, mesh)
        parts.use_compilation_cache(config)
        workdir.settle_config(request.workdir, config)
        log.info("%s", source.about)
        splits = {
            split: load_split(source, split, config, request.workdir)
            for split in ("train", "validation")
        }
        settle_data(request.workdir, source.classes, splits["train"])
        Run(request, config, mesh, source, module, splits, stop).train(augment)
        if devices.is_first_process():
            log.info("report: %s", write_report(request.workdir))


@dataclass
class Run:
    """One training run: what its steps share."""

    request: Request
    config: ConfigDict
    mesh: Mesh
    source: Any
    module: Any
    splits: dict[str, list[Record]]
    stop: signals.Stop
    # set by `train`, from the config and from where the run stands
    num_steps: int = field(init=False)
    eval_steps: int = field(init=False)
    save_steps: int = field(init=False)
    rate: optax.Schedule = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    best: tuple[int, float] | None = field(init=False)
    metrics: progress.Metrics = field(init=False)
    clips_log: progress.ClipsLog = field(init=False)
    line: progress.Line = field(init=False)
    clock: progress.Clock = field(init=False)
    predict: Callable = field(init=False)
    is_finite: Callable = field(init=False)

    def train(self, augment) -> None:
        """Init or restore, then steps, metrics, evaluations and checkpoints until the end or a signal."""
        config, workdir, num_train = self.config, self.request.workdir, len(self.splits["train"])
        self.num_steps = parts.num_steps(config, num_train)
        self.eval_steps = parts.every(config.eval_steps, config, num_train)
        self.save_steps = parts.every(config.checkpoint_steps, config, num_train)
        self.rate = parts.schedule(config, self.num_steps)
        if config.schedule.warmup_steps >= self.num_steps:
            log.warning(
                "the warm-up of %d steps is longer than the run: the learning rate never reaches its height",
                config.schedule.warmup_steps,
            )
        tx = parts.optimiser(config, self.rate)
        self.checkpoints = Checkpoints(workdir, clean=True)
        state, window, start = self.first_state(tx)
        self.best = self.checkpoints.best()
        self.metrics, self.clips_log = (
            progress.Metrics(workdir, start),
            progress.ClipsLog(workdir, start),
        )
        self.line, self.clock = self.new_line(start), progress.Clock()
        self.predict = programs.make_predict_step(config, self.module, self.mesh)
        self.is_finite = programs.make_is_finite()
        try:
            if start:
                self.evaluate_if_owed(start, state)
            if start < self.num_steps:
                self.write_environment(state)
                step = programs.make_train_step(
                    config, self.module, tx=tx, augment=augment, mesh=self.mesh
                )
                self.loop(step, state, window, start)
        finally:
            with ExitStack() as stack:  # each of them, whatever the others raise
                for end in (self.checkpoints.wait, self.clips_log.close, self.metrics.close):
                    stack.callback(end)

    def first_state(self, tx) -> tuple[steps.State, Any, int]:
        """(state, window, step) of the latest good checkpoint, or of the seed."""
        build = {"config": self.config, "module": self.module, "tx": tx, "mesh": self.mesh}
        found = self.checkpoints.restore(programs.checkpoint_shapes(**build))
        if found is None:
            state = programs.init_state(**build)
            if self.config.init_from:
                state = weights.start_from(
                    Path(self.config.init_from), self.config, state, self.mesh
                )
            return state, programs.empty_window(self.mesh), 0
        start, tree = found
        self.checkpoints.drop_after(start)
        news = (
            f"goes on at step {start} of {self.num_steps}"
            if start < self.num_steps
            else f"has done its {start} steps"
        )
        log.info("%s %s", self.request.workdir, news)
        return tree["state"], tree["window"], start

    def new_line(self, start: int) -> progress.Line:
        """The progress line; what it says of generated clips is marked."""
        return progress.Line(
            self.num_steps, start, note="  (synthetic)" if self.source.synthetic else ""
        )

    def evaluate_if_owed(self, start: int, state) -> None:
        """The evaluation that a run owes which was stopped between a step and it."""
        if is_due(start, self.eval_steps, self.num_steps) and not self.metrics.evaluated(start):
            score = self.evaluate(start, state)
            self.leave_if_stopped(start)
            self.checkpoints.set_score(start, score)
            self.best = self.checkpoints.best()

    def loop(self, step, state, window, start: int) -> None:
        """The steps from `start` on; one is under way while the batch of the next is prepared."""
        scalars: dict[str, float] = {}
        batches = self.batches(start)
        for number in range(start + 1, self.num_steps + 1):
            batch = self.clock.waiting(batches)
            digest = self.clips_hash(number - 1, batch["id"])
            batch = programs.device_batch(batch, self.mesh)
            if number == start + 1:
                step = self.compiled(step, state, window, batch)
            self.clips_log.write(number, digest)
            before = window
            state, window = step(state, window, batch)
            self.clock.count(self.config.batch_size)
            # Looks at the step before, so that this one is under way meanwhile.
            self.check_finite(before, number - 1)
            if is_due(number, self.config.log_steps, self.num_steps):
                self.check_finite(window, number)
                scalars = self.write_scalars(number, window)
                window = programs.empty_window(self.mesh)
            self.line.show(number, scalars)
            score = (
                self.evaluate(number, state)
                if is_due(number, self.eval_steps, self.num_steps)
                else None
            )
            improved = score is not None and (self.best is None or score > self.best[1])
            if improved:
                self.best = number, score
            if improved or self.stop or is_due(number, self.save_steps, self.num_steps):
                self.save(number, state, window, score)
            self.leave_if_stopped(number)

    def compiled(self, step, *arguments):
        """The program of a step, compiled here and not in the first call, so that it can be told and timed."""
        log.info("compiling the training step: seconds to minutes, unless it was done before")
        began = time.monotonic()
        program = step.lower(*arguments).compile()
        log.info("compiled in %.0f s", self.leave_out(began))
        return program

    def leave_out(self, began: float) -> float:
        """Takes the time since `began` out of the rates; returns it."""
        seconds = time.monotonic() - began
        self.clock.skip(seconds)
        self.line.pause(seconds)
        return seconds

    def save(self, number: int, state, window, score: float | None) -> None:
        """Starts to write a checkpoint; what the logs say up to here is on disk first."""
        self.check_finite(window, number)
        if not self.is_finite(state):
            raise NonFiniteLoss(f"A parameter is not finite after step {number}. {ADVICE}")
        self.metrics.flush()
        self.clips_log.flush()
        self.checkpoints.save(number, {"state": state, "window": window}, score=score)

    def leave_if_stopped(self, number: int) -> None:
        """Raises Preempted, once the checkpoint of step `number` counts."""
        if self.stop:
            self.checkpoints.wait()
            raise Preempted(
                f"stopped by {self.stop.name}, saved at step {number}; the same command goes on from there."
            )

    def batches(self, start: int):
        """This process's batches from a step on."""
        return pipeline.train_batches(
            self.splits["train"],
            self.source.classes,
            parts.clip_spec(self.config),
            seed=self.config.seed,
            batch_size=self.config.batch_size,
            start_step=start,
            num_steps=self.num_steps,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )

    def clips_hash(self, step: int, ids) -> str:
        """What `clips.log` says of a step: the clips of its batch, over all processes."""
        if jax.process_count() == 1:
            return sampling.log_hash(ids)
        config = self.config
        ids = pipeline.train_clips(
            step, len(self.splits["train"]), seed=config.seed, batch_size=config.batch_size
        )
        return sampling.log_hash(ids)

    def write_scalars(self, number: int, window) -> dict[str, float]:
        """Divides the sums since the last time and writes them."""
        sums = jax.device_get(window)
        scalars = {
            f"train/{name}": float(sums[name][0]) / float(sums[name][1])
            for name in ("loss", "top1")
        }
        scalars["train/learning_rate"] = float(self.rate(number - 1))
        scalars |= self.clock.read()
        self.metrics.write(number, scalars)
        return scalars

    def evaluate(self, number: int, state) -> float | None:
        """Evaluates the validation split, writes what it finds and returns top-1; None where a signal came."""
        began = time.monotonic()
        self.line.busy(f"step {number}: evaluating {len(self.splits['validation']):,} clips")
        variables = steps.eval_variables(state)
        clips = {"records": self.splits["validation"], "classes": self.source.classes}
        result = evaluating.evaluate(
            self.config,
            **clips,
            predict=self.predict,
            variables=variables,
            mesh=self.mesh,
            stop=self.stop,
        )
        if result is None:
            return None
        evaluating.write(
            self.request.workdir, self.config, result, split="validation", step=number, **clips
        )
        self.metrics.write(number, result.scalars)
        evaluating.say("validation", number, result.scalars, self.source)
        self.leave_out(began)
        return result.scalars["val/top1"]

    def check_finite(self, window, number: int) -> None:
        """Raises NonFiniteLoss, before anything of it is saved."""
        if not steps.all_finite(window):
            raise NonFiniteLoss(f"The loss or a gradient is not finite at step {number}. {ADVICE}")

    def write_environment(self, state) -> None:
        """`env.json`: what runs, on what, over which data."""
        source, config = self.source, self.config
        data = {
            "name": config.data.name,
            "about": source.about,
            "synthetic": source.synthetic,
            "root": config.data.root,
            "num_classes": len(source.classes),
            "splits": {split: len(records) for split, records in self.splits.items()},
        }
        num_parameters = sum(p.size for p in jax.tree.leaves(state.params))
        env = workdir.environment(
            self.request.line,
            devices.describe(),
            num_processes=jax.process_count(),
            num_parameters=num_parameters,
            data=data,
        )
        workdir.write_json(self.request.workdir / "env.json", env)
        log.info(
            "%s %s, %s parameters, %d steps of %d clips on %s",
            config.model.name,
            config.model.variant,
            f"{num_parameters:,}",
            self.num_steps,
            config.batch_size,
            ", ".join(env["devices"]),
        )


def is_due(number: int, every: int, last: int) -> bool:
    """Whether something that happens every `every` steps, and at the last, happens after step `number`."""
    return number % every == 0 or number == last
