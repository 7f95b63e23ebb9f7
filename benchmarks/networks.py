"""Our networks as contestants: inference and a training step, compiled ahead, on arrays that lie on the device."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import compiling
from benchmarks.targets import NUM_CLASSES, Target
from benchmarks.timing import Contestant, make_turn
from vidjax.learn import losses, optim, steps
from vidjax.run import devices

MOMENTUM, RATE = 0.9, 1e-3
STEPS = (
    "forward",
    "train",
    "remat",
)  # the last is training that recomputes what lies between convolutions
OURS, PLAIN = "vidjax", "Flax"  # the second has every convolution as `nn.Conv` lowers it


def optimizer():
    """SGD with momentum, as PyTorch's contestants have it."""
    return optim.make_optimizer(
        name="sgd", schedule=lambda step: jnp.float32(RATE), momentum=MOMENTUM
    )


def initial_state(target: Target) -> steps.State:
    """The state that training starts from; inference takes its variables."""
    init = steps.make_init(target.build(), optimizer())
    video = jax.ShapeDtypeStruct(target.clip, jnp.float32)
    return jax.jit(lambda key: init(key, video), compiler_options=devices.INIT_OPTIONS)(
        jax.random.key(0)
    )


def make_batch(target: Target) -> dict[str, jax.Array]:
    """Normalised clips of noise, and labels."""
    n = target.clip[0]
    return {
        "video": jnp.asarray(np.random.default_rng(0).standard_normal(target.clip, np.float32)),
        "label": jnp.arange(n, dtype=jnp.int32) % NUM_CLASSES,
        "mask": jnp.ones(n),
        "draw": jnp.zeros(n, jnp.uint32),
    }


def contestant(name: str, target: Target, step: str, state: steps.State) -> Contestant:
    """OURS or PLAIN at one of STEPS, compiled and run once; it works on a copy of the state."""
    options = {} if name == PLAIN else devices.compiler_options()
    module = target.build(lowering="native" if name == PLAIN else devices.lowering(options))
    make = {
        "forward": _inference,
        "train": _training,
        "remat": functools.partial(_training, remat=True),
    }[step]
    before = jax.local_devices()[0].memory_stats() or {}
    timed, call = make(module, jax.tree.map(jnp.copy, state), make_batch(target), options)
    jax.block_until_ready(call())
    facts = {"compile_cold": timed.cold, "compile_warm": timed.warm, **memory(timed, before)}
    return Contestant(name, make_turn(call), facts, is_finite=lambda: _all_finite(call()))


def _all_finite(tree: Any) -> bool:
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


def _inference(module, state, batch, options) -> tuple[compiling.Timed, Callable[[], Any]]:
    variables, video = steps.eval_variables(state), batch["video"]

    def infer(variables, video):
        return module.apply(variables, video, train=False)

    timed = compiling.compile_twice(
        lambda: jax.jit(infer, compiler_options=options).lower(variables, video)
    )
    return timed, lambda: timed.program(variables, video)


def _training(
    module, state, batch, options, remat=False
) -> tuple[compiling.Timed, Callable[[], Any]]:
    """The step of a run, without augmentation."""
    parts = {"loss": losses.cross_entropy, "normalise": lambda video: video, "remat": remat}
    step = steps.make_train_step(module, optimizer(), **parts)
    timed = compiling.compile_twice(
        lambda: jax.jit(step, donate_argnums=0, compiler_options=options).lower(state, batch)
    )

    def call():
        nonlocal state
        state, sums = timed.program(state, batch)
        return sums

    return timed, call


def memory(timed: compiling.Timed, before: dict[str, int]) -> dict[str, Any]:
    """`memory` in bytes and who tells it: the device by its peak, or the compiler by its plan.

    A device knows the peak of the whole process only: it tells where this program rose above all before it.
    """
    after = jax.local_devices()[0].memory_stats() or {}
    peak = after.get("peak_bytes_in_use", 0)
    if peak > before.get("peak_bytes_in_use", 0):
        return {"memory": peak - before.get("bytes_in_use", 0), "memory_by": "device"}
    return {"memory": timed.planned_bytes, "memory_by": "compiler"}
