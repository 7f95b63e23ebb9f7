"""What the machine can do at most: its rate in matrix products, and its memory's.

Both are measured here instead of taken from a data sheet. They are the ceilings that networks and
convolutions are compared with.
"""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import make_turn
from benchmarks.torch_process import TorchProcess, WorkerError

REPEATS = 20  # calls, of which the fastest counts: a machine that begins to work is slow at first
SIDES = {"cpu": (1024, 2048)}  # of the matrices, by backend
SIDES_OF_ACCELERATORS = (4096, 8192)
NUMBERS = {"cpu": 2**24}  # in an array that is larger than all caches, by backend
NUMBERS_OF_ACCELERATORS = 2**28


@dataclass(frozen=True)
class Machine:
    """One of the devices, and its rates."""

    chip: str
    devices: int  # how many there are
    products: dict[str, dict[str, float]]  # precision -> library -> operations a second
    bytes_per_second: float

    def best_product(self, precision: str) -> float:
        """Operations a second of a matrix product, in whichever library is faster."""
        return max(self.products[precision].values())


def measure(precisions: Sequence[str], torch: TorchProcess | None = None) -> Machine:
    """Measures everything, which takes seconds."""
    products = {precision: product_rates(precision, torch) for precision in precisions}
    return Machine(
        chip=chip(),
        devices=jax.device_count(),
        products=products,
        bytes_per_second=memory_rate(),
    )


def product_rates(precision: str, torch: TorchProcess | None = None) -> dict[str, float]:
    """The best rate of a matrix product, by library; a multiply-add is two operations."""
    rates = {"jax": 0.0}
    for n in SIDES.get(jax.default_backend(), SIDES_OF_ACCELERATORS):
        operations = 2 * n**3
        rates["jax"] = max(rates["jax"], operations / _fastest(_jax_product(n, precision)))
        if torch is None:
            continue
        settings = {"size": n, "precision": precision, "device": torch.device}
        try:
            one = torch.contestant("matrix product", "product", **settings)
        except WorkerError:
            continue  # PyTorch has no matrix product of this type here
        rates["torch"] = max(rates.get("torch", 0.0), operations / _fastest(one.turn))
        one.close()
    return rates


def _jax_product(n: int, precision: str) -> Callable[[int], float]:
    """A turn of the product of two n x n matrices."""
    noise = np.random.default_rng(0).standard_normal((2, n, n), np.float32)
    left, right = jnp.asarray(noise, precision)
    program = jax.jit(jnp.matmul)
    return make_turn(lambda: program(left, right))


def memory_rate() -> float:
    """Bytes a second of a sum of two arrays: two are read and one is written."""
    count = NUMBERS.get(jax.default_backend(), NUMBERS_OF_ACCELERATORS)
    a, b = jnp.ones(count), jnp.ones(count)
    program = jax.jit(lambda a, b: a + 0.5 * b)
    return 3 * a.nbytes / _fastest(make_turn(lambda: program(a, b)))


def _fastest(turn: Callable[[int], float]) -> float:
    """Seconds of the fastest of several calls: a ceiling is what was reached once."""
    turn(1)
    return min(turn(1) for _ in range(REPEATS))


def chip() -> str:
    """The name of the device; of a CPU as the system tells it."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return device.device_kind
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not on Linux
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
