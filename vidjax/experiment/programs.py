"""The jitted programs of an experiment over the mesh: init, one training step, one evaluation step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax.core.errors import UserError
from vidjax.experiment import parts
from vidjax.learn import metrics, steps
from vidjax.run import devices


def video_shape(config: ConfigDict) -> tuple[int, int, int, int, int]:
    """[1, T, H, W, C] of a clip."""
    return (1, config.data.num_frames, config.data.size, config.data.size, 3)


def _init(config: ConfigDict, module, tx) -> Callable[[jax.Array], steps.State]:
    """init(key) -> State, not jitted."""
    init = steps.make_init(module, tx, ema=config.optim.ema_decay > 0)
    return lambda key: init(key, jax.ShapeDtypeStruct(video_shape(config), jnp.float32))


def init_state(config: ConfigDict, module, *, tx, mesh: Mesh) -> steps.State:
    """The State of the config's seed, on every device."""
    program = jax.jit(
        _init(config, module, tx),
        out_shardings=devices.replicated(mesh),
        compiler_options=devices.INIT_OPTIONS if config.compile.quick_init else None,
    )
    return program(jax.random.key(config.seed))


def checkpoint_shapes(config: ConfigDict, module, *, tx, mesh: Mesh) -> dict[str, Any]:
    """Shapes, types and shardings of what a checkpoint holds, found without computing anything.

    Raises UserError where the network cannot be built on clips of the config's size.
    """
    try:
        state = jax.eval_shape(_init(config, module, tx), jax.random.key(0))
    except (ValueError, TypeError) as error:
        raise UserError(f"config.model: {str(error).splitlines()[0]}") from error
    return devices.abstract({"state": state, "window": empty_window(mesh)}, mesh)


def make_train_step(config: ConfigDict, module, *, tx, augment, mesh: Mesh) -> Callable:
    """step(state, window, batch) -> (state, window): the state is donated, sums of the step are added to the window."""
    step = steps.make_train_step(
        module,
        tx,
        loss=parts.loss(config),
        normalise=parts.normalisation(config),
        augment=augment,
        seed=config.seed,
        ema_decay=config.optim.ema_decay,
        remat=config.remat,
    )

    def windowed(state, window, batch):
        state, sums = step(state, batch)
        return state, metrics.add(window, sums)

    same = devices.replicated(mesh)
    return jax.jit(
        windowed,
        donate_argnums=0,
        in_shardings=(same, same, devices.sharded(mesh)),
        out_shardings=(same, same),
        compiler_options=parts.compiler_options(config),
    )


def empty_window(mesh: Mesh) -> metrics.Sums:
    """The sums of no training step."""
    zero = {name: (jnp.zeros(()), jnp.zeros(())) for name in ("loss", "top1", "finite")}
    return jax.device_put(zero, devices.replicated(mesh))


def make_is_finite() -> Callable[[Any], jax.Array]:
    """is_finite(tree) -> bool array: whether every number in it is."""
    return jax.jit(
        lambda tree: jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()
    )


def make_predict_step(config: ConfigDict, module, mesh: Mesh) -> Callable:
    """step(variables, batch, sums) -> (sums, clips), see `learn.steps.make_predict_step`; all of it on every device."""
    step = steps.make_predict_step(
        module, loss=parts.loss(config), normalise=parts.normalisation(config)
    )
    same = devices.replicated(mesh)
    shardings = {"in_shardings": (same, devices.sharded(mesh), same), "out_shardings": (same, same)}
    return jax.jit(step, **shardings, compiler_options=parts.compiler_options(config))


def device_batch(batch: dict[str, Any], mesh: Mesh) -> dict[str, jax.Array]:
    """The arrays of a batch that a step reads, on the mesh; `id` stays on the host."""
    return devices.put({key: batch[key] for key in ("video", "label", "mask", "draw")}, mesh)
