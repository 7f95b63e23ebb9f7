"""What the machine can do at most: its rate of multiply-adds in matrix products, and its memory's of bytes.

Both are measured, not read from a data sheet, and are the ceilings that networks and convolutions are held against.
"""

import platform
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import make_turn
from benchmarks.torch_side import TorchError, TorchSide

REPEATS = 20  # a machine that has just begun to work is slow at first


def sizes(backend: str) -> tuple[int, ...]:
    """Sides of the matrices that are tried."""
    return (1024, 2048) if backend == "cpu" else (4096, 8192)


def product_rate(
    precision: str, torch: TorchSide | None = None, device: str = "cpu"
) -> dict[str, float]:
    """Operations a second (two a multiply-add) of matrix products: the best of each library, by its name."""
    rates = {"jax": 0.0}
    for n in sizes(jax.default_backend()):
        noise = np.random.default_rng(0).standard_normal((2, n, n), np.float32)
        left, right = (jnp.asarray(matrix, precision) for matrix in noise)
        program = jax.jit(jnp.matmul)
        rates["jax"] = max(
            rates["jax"], 2 * n**3 / _best(make_turn(lambda p=program, a=left, b=right: p(a, b)))
        )
        if torch is None:
            continue
        try:
            one = torch.contestant("product", "product", size=n, precision=precision, device=device)
            rates["torch"] = max(rates.get("torch", 0.0), 2 * n**3 / _best(one.turn))
            one.close()
        except TorchError:
            continue  # a type that its matrices do not have here
    return rates


def memory_rate() -> float:
    """Bytes a second of a sum of two arrays, far larger than caches: two are read and one is written."""
    count = 2**24 if jax.default_backend() == "cpu" else 2**28
    a, b = jnp.ones(count), jnp.ones(count)
    program = jax.jit(lambda a, b: a + 0.5 * b)
    return 3 * a.nbytes / _best(make_turn(lambda: program(a, b)))


def _best(turn) -> float:
    """Seconds of the quickest of some calls: a ceiling is what was reached once."""
    turn(1)
    return min(turn(1) for _ in range(REPEATS))


def chip() -> str:
    """The name of the device, a processor's as the system tells it."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe(
    precisions: list[str], torch: TorchSide | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Everything of this file: `chip`, `products` by precision, `bytes_per_second`."""
    return {
        "chip": chip(),
        "devices": jax.device_count(),
        "products": {precision: product_rate(precision, torch, device) for precision in precisions},
        "bytes_per_second": memory_rate(),
    }
