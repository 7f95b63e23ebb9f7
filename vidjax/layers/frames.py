"""What networks for single images need in order to take clips."""

import jax


def as_clip(video: jax.Array) -> jax.Array:
    """Turns images [N, H, W, C] into clips of one frame; leaves clips [N, T, H, W, C] alone."""
    if video.ndim == 4:
        return video[:, None]  # [N, 1, H, W, C]
    return video
