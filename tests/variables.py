"""Random variables for tests, drawn by NumPy: jax's own would have to be compiled."""

import jax
import numpy as np


def drawn(shapes, *, seed=0):
    """Values for a tree of shapes, statistics among them, that keep activations near 1."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        noise = rng.standard_normal(leaf.shape, np.float32)
        if leaf.ndim > 1:
            return noise * np.sqrt(2 * leaf.shape[-1] / leaf.size, dtype=np.float32)
        return 1 + 0.1 * np.abs(noise) if path[-1].key in ("scale", "var") else 0.1 * noise

    return jax.tree_util.tree_map_with_path(draw, shapes)
