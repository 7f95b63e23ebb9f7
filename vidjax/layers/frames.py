"""What networks for single images need to take clips."""

import jax


def as_clip(video: jax.Array) -> jax.Array:
    """Images [N, H, W, C] as clips of one frame, [N, 1, H, W, C]; clips as they are."""
    return video[:, None] if video.ndim == 4 else video
