"""vidjax: convolutional video networks in JAX.

`vidjax.build`, `vidjax.load` and `vidjax.names` are what most libraries on top need, and
`vidjax.init_stream` and `vidjax.stream_step` run a causal network frame by frame. They are imported
when they are used, so that `import vidjax` by itself costs nothing.
"""

import importlib

# public name: (module, its name there)
_PUBLIC = {
    "build": ("vidjax.models", "build"),
    "names": ("vidjax.models", "names"),
    "load": ("vidjax.convert", "load"),
    "init_stream": ("vidjax.models.streaming", "init_stream"),
    "stream_step": ("vidjax.models.streaming", "stream_step"),
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    """Imports a public function at its first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'vidjax' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
