"""The jitted programs of an experiment over a mesh: init, training step, evaluation step."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from vidjax import models
from vidjax.core.errors import UserError
from vidjax.experiment.assembly import Experiment
from vidjax.learn import metrics, steps
from vidjax.run import devices
from vidjax.tasks import ClipSize

# The arrays of a batch that a step reads. The ids stay on the host.
ON_DEVICE = ("video", "flow", "label", "mask", "draw")


@dataclass(frozen=True)
class Programs:
    """What an experiment computes on the devices of a mesh."""

    experiment: Experiment
    mesh: Mesh

    def init_state(self, tx: optax.GradientTransformation) -> steps.State:
        """The state of the config's seed, on every device."""
        config = self.experiment.config
        options = devices.INIT_OPTIONS if config.compile.quick_init else None
        program = jax.jit(
            self._init(tx),
            out_shardings=devices.replicated(self.mesh),
            compiler_options=options,
        )
        return program(jax.random.key(config.seed))

    def checkpoint_shapes(self, tx: optax.GradientTransformation) -> dict[str, Any]:
        """Shapes, dtypes and shardings of what a checkpoint holds, found without computing it.

        Raises UserError where the network does not take clips of the config's size.
        """
        # The seed does not matter for shapes.
        state = jax.eval_shape(self._init(tx), jax.random.key(0))
        return devices.abstract({"state": state, "window": self.empty_window()}, self.mesh)

    def train_step(self, tx: optax.GradientTransformation) -> Callable:
        """step(state, window, batch) -> (state, window).

        The state is donated, and the sums of the step are added to the window.
        """
        experiment, config = self.experiment, self.experiment.config
        step = steps.make_train_step(
            experiment.module,
            tx,
            loss=self._loss,
            metrics_of_training=experiment.task.metrics_of_training(),
            inputs=experiment.inputs,
            augment=experiment.augment,
            seed=config.seed,
            ema_decay=config.optim.ema_decay,
            remat=config.remat,
        )

        def windowed(state, window, batch):
            state, sums = step(state, batch)
            return state, metrics.add(window, sums)

        # State and sums are the same on every device; the batch is cut over them.
        same = devices.replicated(self.mesh)
        return jax.jit(
            windowed,
            donate_argnums=0,
            in_shardings=(same, same, devices.sharded(self.mesh)),
            out_shardings=(same, same),
            compiler_options=experiment.compiler_options,
        )

    def empty_window(self) -> metrics.Sums:
        """The sums of no training step, on every device."""
        task = self.experiment.task
        logits, label = self._shapes_of_answers()
        window = steps.zeros(task.metrics_of_training(), logits=logits, label=label)
        # Besides the metrics, the step says whether it was finite; see learn.steps.
        window["finite"] = (jnp.zeros(()), jnp.zeros(()))
        return jax.device_put(window, devices.replicated(self.mesh))

    def predict_step(self) -> Callable:
        """step(variables, batch, sums) -> (sums, rows), with results on every device."""
        task = self.experiment.task

        def rows(logits, label):
            return task.rows(task.scores(logits), label)

        step = steps.make_predict_step(
            self.experiment.module,
            loss=self._loss,
            metrics_of_evaluation=task.metrics,
            rows=rows,
            inputs=self.experiment.inputs,
        )
        same = devices.replicated(self.mesh)
        return jax.jit(
            step,
            in_shardings=(same, devices.sharded(self.mesh), same),
            out_shardings=(same, same),
            compiler_options=self.experiment.compiler_options,
        )

    def scores_of(self, variables: steps.Variables) -> Callable[[dict[str, Any]], np.ndarray]:
        """scores(batch) -> the scores [N, ...] of its clips, on the host."""
        program = self._scores_step
        return lambda batch: jax.device_get(program(variables, self.device_batch(batch)))

    @functools.cached_property
    def _scores_step(self) -> Callable:
        """step(variables, batch) -> scores. Kept, so that all evaluations of a run compile once."""
        experiment = self.experiment

        def step(variables, batch):
            logits = experiment.module.apply(variables, experiment.inputs(batch), train=False)
            return experiment.task.scores(logits.astype(jnp.float32))

        same = devices.replicated(self.mesh)
        return jax.jit(
            step,
            in_shardings=(same, devices.sharded(self.mesh)),
            out_shardings=same,
            compiler_options=experiment.compiler_options,
        )

    def empty_sums(self) -> metrics.Sums:
        """The sums of an evaluation that has seen no clip, on every device."""
        logits, label = self._shapes_of_answers()
        sums = steps.zeros(self.experiment.task.metrics, logits=logits, label=label)
        return jax.device_put(sums, devices.replicated(self.mesh))

    def batch_shapes(self, num_clips: int) -> dict[str, jax.ShapeDtypeStruct]:
        """The arrays of a batch that a step reads, as shapes; `flow` where the network reads it."""
        experiment = self.experiment
        pixels = np.float32 if experiment.reads_arrays else np.uint8
        video = jax.ShapeDtypeStruct((num_clips, *experiment.video_shape[1:]), pixels)
        label = experiment.task.label
        batch = {
            "video": video,
            "label": jax.ShapeDtypeStruct((num_clips, *label.shape), label.dtype),
            "mask": jax.ShapeDtypeStruct((num_clips,), np.float32),
            "draw": jax.ShapeDtypeStruct((num_clips,), np.uint32),
        }
        if experiment.flow is not None:
            _, batch["flow"] = models.input_shapes(experiment.module, video)
        return batch

    def device_batch(self, batch: dict[str, Any]) -> dict[str, jax.Array]:
        """The arrays of a batch that a step reads, cut over the devices."""
        return devices.put({name: batch[name] for name in ON_DEVICE if name in batch}, self.mesh)

    def _init(self, tx: optax.GradientTransformation) -> Callable[[jax.Array], steps.State]:
        """init(key) -> State, not jitted."""
        experiment = self.experiment
        has_average = experiment.config.optim.ema_decay > 0
        init = steps.make_init(experiment.module, tx, ema=has_average)
        return lambda key: init(key, experiment.input_shapes)

    @property
    def _loss(self) -> Callable[[jax.Array, jax.Array], jax.Array]:
        """The loss of the task, which refuses answers of another shape than the task asks for."""
        shape, _ = self._shapes_of_answers()
        head = self.experiment.module.head
        name = type(head).__module__.rpartition(".")[2]
        task = self.experiment.task

        def loss(logits, label):
            # While it is traced: in a compiled program the shapes are known, and nothing is left.
            if logits.shape[1:] != shape.shape[1:]:
                raise UserError(
                    f"The head {name} says that its answers are for {head.answers!r}, and gives "
                    f"{list(logits.shape[1:])} for a clip.\n"
                    f"The task {task.name} needs {list(shape.shape[1:])}: mend the head "
                    "(docs/heads.md), or choose another."
                )
            return task.loss(logits, label)

        return loss

    def _shapes_of_answers(self) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
        """Logits and labels of a batch of one clip."""
        task, clips = self.experiment.task, self.experiment.clips
        shape = task.logits_shape(ClipSize(clips.num_frames, clips.size))
        logits = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        return logits, jax.ShapeDtypeStruct((1, *task.label.shape), task.label.dtype)
