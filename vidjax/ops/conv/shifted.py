"""The lowering "shifted": a shifted slice of the clip for each tap, times the tap, summed.

For a depthwise kernel these are multiply-adds, for any other kernel matrix products. A 1x1x1 kernel
is a single matrix product.
"""

import jax
import jax.numpy as jnp

from vidjax.ops.conv.spec import Spec
from vidjax.ops.conv.windows import pad, taps, windows


def shifted(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """Convolves [N, T, H, W, C] with [kt, kh, kw, C / groups, F], tap by tap."""
    x = pad(x, spec.padding)
    total = None
    for tap, window in zip(taps(kernel.shape), windows(x, kernel.shape[:3], spec), strict=True):
        y = _times_tap(window, kernel[tap], spec.groups)
        total = y if total is None else total + y
    return total.astype(x.dtype)


def _times_tap(window, weights, groups):
    """[..., C] times the weights [C / groups, F] of one tap -> [..., F], float32."""
    if groups == 1:
        return jnp.dot(window, weights, preferred_element_type=jnp.float32)
    channels, features = weights.shape  # channels of one group, features of all
    if channels == 1:
        # Depthwise: a multiplication by channel. Each channel may have several features.
        window = window.astype(jnp.float32)
        if features > groups:
            window = jnp.repeat(window, features // groups, axis=-1)
        return window * weights[0].astype(jnp.float32)
    window = window.reshape(*window.shape[:-1], groups, channels)
    weights = weights.reshape(channels, groups, features // groups)
    y = jnp.einsum("...gc,cgf->...gf", window, weights, preferred_element_type=jnp.float32)
    return y.reshape(*y.shape[:-2], features)  # [..., groups, F / groups] -> [..., F]
