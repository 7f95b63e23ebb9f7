"""Compilation, timed: cold, with nothing kept from before, and warm, with the program in the compilation cache."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
from jax.experimental.compilation_cache import compilation_cache
from jax.stages import Compiled, Lowered

SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,  # keep every program, however quick or small
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@contextlib.contextmanager
def empty_cache() -> Iterator[None]:
    """A compilation cache that is empty at first and gone at the end, instead of the one in use."""
    with tempfile.TemporaryDirectory(prefix="vidjax-bench-") as folder:
        settings = {"jax_compilation_cache_dir": folder, **SETTINGS}
        before = {name: getattr(jax.config, name) for name in settings}
        try:
            _use(settings)
            yield
        finally:
            _use(before)


def _use(settings):
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # jax looks at the folder once only


@dataclass(frozen=True)
class Timed:
    """A compiled program and the seconds of tracing, lowering and compiling it."""

    program: Compiled
    cold: float
    warm: float

    @property
    def planned_bytes(self) -> int:
        """Arguments and temporary values, as the compiler lays them out."""
        sizes = self.program.memory_analysis()
        return sizes.argument_size_in_bytes + sizes.temp_size_in_bytes if sizes else 0


def compile_twice(lower: Callable[[], Lowered]) -> Timed:
    """Compiles what lower() gives, forgets it, and compiles it again. Use it within `empty_cache`."""
    seconds = []
    for _ in range(2):
        jax.clear_caches()
        began = time.perf_counter()
        program = lower().compile()
        seconds.append(time.perf_counter() - began)
    return Timed(program, *seconds)
