"""The worker that runs the vidjax of a checkout, whichever commit that is.

So it depends on few names of vidjax, all of them public: `models.build`, and of `run.devices` the
options of the compiler and the lowering that goes with them. The steps are written here, in JAX
alone, and are the same for every checkout.

Its requests are, by `do`: "hello" returns the folder of the checkout, "make" compiles a step of a
network (`what` is "forward" or "train"), "turn" runs it `calls` times, "check" looks at its
results, "drop" forgets it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import worker
from benchmarks.worker import Made

RATE = 1e-3  # of plain gradient descent


def main() -> None:
    """Answers until stdin ends."""
    worker.serve(ANSWERS)


def hello(request, kept) -> dict[str, str]:
    """The folder that `vidjax` is imported from."""
    import vidjax

    return {"folder": str(Path(vidjax.__file__).resolve().parents[1])}


def make(request, kept) -> dict[str, float]:
    """Compiles a step and runs it once; returns the seconds of that first call."""
    # Here and not at the top, since it imports JAX: the answer to "hello" comes without.
    from benchmarks import timing

    call = MAKERS[request["what"]](request)
    turn = timing.make_turn(call)
    first = turn(1)
    kept[request["key"]] = Made(call, turn)
    return {"first": first}


def make_forward(request: Mapping[str, Any]) -> Callable[[], Any]:
    """call() -> logits [N, K] of inference."""
    import jax

    module, variables, options = _network(request)
    video = _video(request)

    def forward(variables, video):
        return module.apply(variables, video, train=False)

    program = jax.jit(forward, compiler_options=options)
    return lambda: program(variables, video)


def make_train(request: Mapping[str, Any]) -> Callable[[], Any]:
    """call() -> everything that a training step changes, and its loss.

    The step is the forward pass, mean cross entropy, its gradient, and gradient descent.
    """
    import jax
    import jax.numpy as jnp

    module, variables, options = _network(request)
    video = _video(request)
    label = jnp.arange(video.shape[0]) % request["num_classes"]  # [N]

    def mean_loss(params, batch_stats, video):
        logits, changed = module.apply(
            {"params": params, "batch_stats": batch_stats},
            video,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},  # for a family that has dropout of its own
        )
        log_probability = jax.nn.log_softmax(logits.astype(jnp.float32))  # [N, K]
        loss = -jnp.take_along_axis(log_probability, label[:, None], axis=1).mean()
        return loss, changed.get("batch_stats", {})

    def step(params, batch_stats, video):
        gradient_of = jax.value_and_grad(mean_loss, has_aux=True)
        (loss, batch_stats), gradient = gradient_of(params, batch_stats, video)
        params = jax.tree.map(lambda p, g: p - RATE * g, params, gradient)
        return params, batch_stats, loss

    # Donated, as a training job does: the old arrays make room for the new ones.
    program = jax.jit(step, donate_argnums=(0, 1), compiler_options=options)
    params, batch_stats = variables["params"], variables.get("batch_stats", {})

    def call():
        nonlocal params, batch_stats
        params, batch_stats, loss = program(params, batch_stats, video)
        return params, batch_stats, loss

    return call


def _network(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """(module, variables, options of the compiler)."""
    import jax

    from vidjax import models
    from vidjax.run import devices

    options = devices.compiler_options()
    # JSON has lists only, and fields of a module have to be hashable.
    fields = {name: _with_tuples(value) for name, value in request["fields"].items()}
    module = models.build(
        request["family"],
        variant=request["variant"],
        num_classes=request["num_classes"],
        dtype=request["precision"],
        lowering=devices.lowering(options),
        **fields,
    )
    init = jax.jit(
        lambda key, video: module.init(key, video, train=False),
        compiler_options=devices.INIT_OPTIONS,
    )
    return module, init(jax.random.key(0), _video(request)), options


def _video(request: Mapping[str, Any]) -> Any:
    """Noise, float32 [N, T, H, W, C]."""
    import jax.numpy as jnp
    import numpy as np

    noise = np.random.default_rng(0)
    return jnp.asarray(noise.standard_normal(request["clip"], np.float32))


def _with_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_with_tuples(item) for item in value)
    return value


def check(request, kept) -> dict[str, bool]:
    """Whether all numbers of one more result are finite."""
    import jax
    import jax.numpy as jnp

    leaves = jax.tree.leaves(kept[request["key"]].call())
    return {"finite": all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)}


MAKERS = {"forward": make_forward, "train": make_train}
ANSWERS = {
    "hello": hello,
    "make": make,
    "turn": worker.turn,
    "check": check,
    "drop": worker.drop,
}
