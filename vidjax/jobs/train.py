"""train: from a config and clips on disk to checkpoints, metrics, an evaluation and a report.

The same command again resumes: everything that a step depends on is a function of the config and the step number, so a
killed run ends with the same bits as one that was left alone.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax.data import pipeline, sampling
from vidjax.data.sources import Record
from vidjax.experiment import evaluating, parts, programs
from vidjax.experiment.data import load_split
from vidjax.jobs.evaluate import say
from vidjax.learn import steps
from vidjax.report import write_report
from vidjax.run import devices, progress, signals, workdir
from vidjax.run.checkpoints import Checkpoints
from vidjax.run.command import Request
from vidjax.run.errors import NonFiniteLoss, Preempted, UserError

log = logging.getLogger("vidjax")


def run(request: Request) -> None:
    """Trains to the config's last step, from the latest checkpoint if there is one. Raises the errors of its parts."""
    progress.show_messages()
    if request.config is None:
        raise UserError("train needs a config, e.g. --config configs/r2p1d.py.")
    config = request.config
    mesh = devices.make_mesh()
    devices.check_batch(config.batch_size, mesh)
    devices.use_compilation_cache(parts.cache_dir(config) / "programs")
    source = parts.source(config)
    module = parts.network(config, len(source.classes))
    augment = parts.augmentation(config, source)
    with workdir.opened(request.workdir), signals.caught() as stop:
        workdir.settle_config(request.workdir, config)
        splits = {split: load_split(source, split, config, request.workdir) for split in ("train", "validation")}
        run = Run(request, config, mesh, source, module, splits, stop)
        run.train(augment)
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

    def train(self, augment) -> None:
        """Init or restore, then steps, metrics, evaluations and checkpoints until the end or a signal."""
        config, train = self.config, self.splits["train"]
        self.num_steps = parts.num_steps(config, len(train))
        self.rate = parts.schedule(config, self.num_steps)
        tx = parts.optimiser(config, self.rate)
        self.checkpoints = Checkpoints(self.request.workdir, clean=True)
        state, window, start = self.first_state(tx)
        self.metrics = progress.Metrics(self.request.workdir, start)
        self.clips_log = progress.ClipsLog(self.request.workdir, start)
        self.predict = programs.make_predict_step(config, self.module, self.mesh)
        self.write_environment(state)
        step = programs.make_train_step(config, self.module, tx, augment, self.mesh)
        try:
            self.loop(step, state, window, start)
        finally:
            self.checkpoints.wait()
            self.metrics.close()
            self.clips_log.close()

    def first_state(self, tx) -> tuple[steps.State, Any, int]:
        """(state, window, step) of the latest good checkpoint, or of the seed."""
        build = (self.config, self.module, tx, self.mesh)
        found = self.checkpoints.restore(programs.checkpoint_shapes(*build))
        if found is None:
            return programs.init_state(*build), programs.empty_window(self.mesh), 0
        start, tree = found
        log.info("resuming %s at step %d of %d", self.request.workdir, start, self.num_steps)
        return tree["state"], tree["window"], start

    def loop(self, step, state, window, start: int) -> None:
        """The steps from `start` on; one is under way while the batch of the next is prepared."""
        config = self.config
        due = {
            "log": config.log_steps,
            "eval": parts.every(config.eval_steps, config, len(self.splits["train"])),
            "save": parts.every(config.checkpoint_steps, config, len(self.splits["train"])),
        }
        line, clock = progress.Line(self.num_steps, start), Clock()
        scalars: dict[str, float] = {}
        # A run that was stopped between a step and its evaluation owes it.
        owed = start > 0 and is_due(start, due["eval"], self.num_steps) and not self.metrics.evaluated(start)
        if owed:
            self.evaluate(start, state)
        batches = self.batches(start)
        for number in range(start + 1, self.num_steps + 1):
            batch = clock.waiting(batches)
            self.clips_log.write(number, self.clips_hash(number - 1))
            before = window
            state, window = step(state, window, programs.device_batch(batch, self.mesh))
            clock.count(config.batch_size)
            # Looks at the step before, so that this one is under way meanwhile.
            self.check_finite(before, number - 1)
            if is_due(number, due["log"], self.num_steps):
                self.check_finite(window, number)
                scalars = self.write_scalars(number, window, clock)
                window = programs.empty_window(self.mesh)
            line.show(number, scalars)
            score = None
            if is_due(number, due["eval"], self.num_steps) and not self.stop:
                began = time.monotonic()
                score = self.evaluate(number, state)
                clock.skip(time.monotonic() - began)
                line.pause(time.monotonic() - began)
            best = self.checkpoints.best() if score is not None else None
            improved = score is not None and (best is None or score > best[1])
            if improved or self.stop or is_due(number, due["save"], self.num_steps):
                self.check_finite(window, number)
                self.metrics.flush()
                self.clips_log.flush()
                self.checkpoints.save(number, {"state": state, "window": window}, score=score)
            if self.stop and number < self.num_steps:
                self.checkpoints.wait()
                raise Preempted(f"stopped by {self.stop.name}, saved at step {number}; the same command goes on from there.")

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

    def clips_hash(self, step: int) -> str:
        """What `clips.log` says of a step: the clips of all processes."""
        config = self.config
        ids = pipeline.train_clips(step, len(self.splits["train"]), seed=config.seed, batch_size=config.batch_size)
        return sampling.log_hash(ids)

    def write_scalars(self, number: int, window, clock: "Clock") -> dict[str, float]:
        """Divides the sums since the last time and writes them."""
        sums = jax.device_get(window)
        scalars = {f"train/{name}": float(sums[name][0]) / float(sums[name][1]) for name in ("loss", "top1")}
        scalars["train/learning_rate"] = float(self.rate(number - 1))
        scalars |= clock.read()
        self.metrics.write(number, scalars)
        return scalars

    def evaluate(self, number: int, state) -> float:
        """Evaluates the validation split, writes what it finds and returns top-1."""
        records, classes = self.splits["validation"], self.source.classes
        variables = steps.eval_variables(state)
        result = evaluating.evaluate(self.config, self.predict, variables, records, classes, self.mesh)
        evaluating.write(self.request.workdir, "validation", number, result, records, classes, self.config)
        self.metrics.write(number, result.scalars)
        say("validation", number, result.scalars, self.source)
        return result.scalars["val/top1"]

    def check_finite(self, window, number: int) -> None:
        """Raises NonFiniteLoss, before anything of it is saved."""
        if not steps.all_finite(window):
            raise NonFiniteLoss(
                f"The loss or a gradient is not finite at step {number}. The last checkpoint is untouched.\n"
                "A lower --config.optim.learning_rate, a longer schedule.warmup_steps or optim.clip_norm=1.0 often helps."
            )

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
        log.info("%s", source.about)


def is_due(number: int, every: int, last: int) -> bool:
    """Whether something that happens every `every` steps, and at the last, happens after step `number`."""
    return number % every == 0 or number == last


class Clock:
    """Clips a second and the share of time spent waiting for data, since it was last read."""

    def __init__(self):
        self._reset()

    def _reset(self):
        self.began, self.waited, self.clips = time.monotonic(), 0.0, 0

    def waiting(self, batches):
        """The next batch; the time it takes is waiting."""
        began = time.monotonic()
        batch = next(batches)
        self.waited += time.monotonic() - began
        return batch

    def count(self, clips: int) -> None:
        self.clips += clips

    def skip(self, seconds: float) -> None:
        """Leaves out time that was not spent on steps."""
        self.began += seconds

    def read(self) -> dict[str, float]:
        """The scalars, and starts anew."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        out = {"train/clips_per_second": self.clips / seconds, "train/data_wait": self.waited / seconds}
        self._reset()
        return out
