"""Our networks as contestants: inference and training steps, compiled before they are timed.

Each works on arrays that lie on the device. PLAIN is the same network with every convolution as
`nn.Conv` lowers it, which is what a Flax network has that does not come from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import compiling
from benchmarks.compiling import Timed
from benchmarks.targets import NUM_CLASSES, Target
from benchmarks.timing import Contestant, make_turn
from vidjax.learn import losses, steps
from vidjax.run import devices

MOMENTUM, RATE = 0.9, 1e-3  # of gradient descent, as PyTorch's contestants have them
STEPS = ("forward", "train", "remat")  # remat: training that keeps convolutions' outputs alone
OURS, PLAIN = "vidjax", "Flax"


@dataclass(frozen=True)
class Parts:
    """What a step is made of."""

    module: nn.Module
    state: steps.State
    batch: steps.Batch
    options: dict[str, Any]  # of the compiler


def initial_state(target: Target) -> steps.State:
    """The state that training starts from; inference takes its variables."""
    init = steps.make_init(target.build(), _optimiser())
    video = jax.ShapeDtypeStruct(target.clip, jnp.float32)
    program = jax.jit(lambda key: init(key, video), compiler_options=devices.INIT_OPTIONS)
    return program(jax.random.key(0))


def contestant(name: str, target: Target, step: str, *, state: steps.State) -> Contestant:
    """OURS or PLAIN at one of STEPS, compiled and run once; it works on a copy of the state."""
    options, lowering = {}, "native"
    if name == OURS:
        options = devices.compiler_options()
        lowering = devices.lowering(options)
    # Before the arrays are made, so that they count as this contestant's.
    memory_before = _memory_stats()
    parts = Parts(
        module=target.build(lowering=lowering),
        state=jax.tree.map(jnp.copy, state),  # training donates it
        batch=_make_batch(target),
        options=options,
    )
    if step == "forward":
        timed, call = _inference(parts)
    else:
        timed, call = _training(parts, remat=step == "remat")
    jax.block_until_ready(call())  # the peak of memory is known after a run
    facts = {
        "compile_cold": timed.cold,
        "compile_warm": timed.warm,
        **_memory(timed, memory_before),
    }
    return Contestant(name, make_turn(call), facts, is_finite=lambda: _all_finite(call()))


def _optimiser() -> optax.GradientTransformation:
    return optax.sgd(RATE, momentum=MOMENTUM)


def _make_batch(target: Target) -> steps.Batch:
    """Normalised clips of noise, and labels."""
    n = target.clip[0]
    noise = np.random.default_rng(0)
    return {
        "video": jnp.asarray(noise.standard_normal(target.clip, np.float32)),  # [N, T, H, W, C]
        "label": jnp.arange(n, dtype=jnp.int32) % NUM_CLASSES,  # [N]
        "mask": jnp.ones(n),
        "draw": jnp.zeros(n, jnp.uint32),
    }


def _inference(parts: Parts) -> tuple[Timed, Callable[[], Any]]:
    """(the program, call() -> logits)."""
    variables, video = steps.eval_variables(parts.state), parts.batch["video"]

    def infer(variables, video):
        return parts.module.apply(variables, video, train=False)

    def lower():
        return jax.jit(infer, compiler_options=parts.options).lower(variables, video)

    timed = compiling.compile_twice(lower)
    return timed, lambda: timed.program(variables, video)


def _training(parts: Parts, *, remat: bool) -> tuple[Timed, Callable[[], Any]]:
    """(the program, call() -> sums of the step); a run's step, except that nothing is augmented."""
    step = steps.make_train_step(
        parts.module,
        _optimiser(),
        loss=losses.cross_entropy,
        inputs=lambda batch: batch["video"],
        remat=remat,
    )
    state, batch = parts.state, parts.batch

    def lower():
        jitted = jax.jit(step, donate_argnums=0, compiler_options=parts.options)
        return jitted.lower(state, batch)

    timed = compiling.compile_twice(lower)

    def call():
        nonlocal state
        state, sums = timed.program(state, batch)
        return sums

    return timed, call


def _all_finite(tree: Any) -> bool:
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


def _memory(timed: Timed, before: dict[str, int]) -> dict[str, Any]:
    """`memory` in bytes, and `memory_by`: whether the device reports it or the compiler plans it.

    A device knows the peak of the whole process only. It tells something about this program where
    the peak rose above what it was `before`.
    """
    peak = _memory_stats().get("peak_bytes_in_use", 0)
    if peak > before.get("peak_bytes_in_use", 0):
        return {"memory": peak - before.get("bytes_in_use", 0), "memory_by": "device"}
    return {"memory": timed.planned_bytes, "memory_by": "compiler"}


def _memory_stats() -> dict[str, int]:
    """What the device tells of its memory; a CPU tells nothing."""
    return jax.local_devices()[0].memory_stats() or {}
