"""Compile times: cold, with an empty cache, and warm, with the program in the compilation cache."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache
from jax.stages import Compiled, Lowered

KEEP_EVERY_PROGRAM = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@contextlib.contextmanager
def empty_cache() -> Iterator[None]:
    """A compilation cache in place of the one in use: empty at first, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="vidjax-bench-") as folder:
        settings = {"jax_compilation_cache_dir": folder, **KEEP_EVERY_PROGRAM}
        before = {name: getattr(jax.config, name) for name in settings}
        try:
            _configure(settings)
            yield
        finally:
            _configure(before)


def _configure(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX looks at the folder only once, unless it is told to look again.
    compilation_cache.reset_cache()


@dataclass(frozen=True)
class Timed:
    """A compiled program, and the seconds that tracing, lowering and compiling took."""

    program: Compiled
    cold: float
    warm: float

    @property
    def planned_bytes(self) -> int:
        """Arguments and temporary values, as the compiler plans them; 0 if it does not say."""
        sizes = self.program.memory_analysis()
        if not sizes:
            return 0
        return sizes.argument_size_in_bytes + sizes.temp_size_in_bytes


def compile_twice(lower: Callable[[], Lowered]) -> Timed:
    """Compiles what lower() gives, forgets it, and compiles it again. Call it in `empty_cache`."""
    seconds = []
    for _ in range(2):
        jax.clear_caches()
        began = time.perf_counter()
        program = lower().compile()
        seconds.append(time.perf_counter() - began)
    cold, warm = seconds
    return Timed(program, cold, warm)
