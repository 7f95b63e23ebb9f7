"""The temporal shift of TSM: some channels come from the next frame, some from the previous one.

Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019, section 3. The
shift does no arithmetic, and gives a 2D network a temporal receptive field. Frames before the first
and after the last are zeros.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.ops import stream

DIRECTIONS = ("bidirectional", "one-directional")


def temporal_shift(
    x: jax.Array, *, fraction: float = 0.125, direction: str = "bidirectional"
) -> jax.Array:
    """Shifts some channels of [N, T, H, W, C] by one frame; the shape stays.

    Args:
      x: a clip [N, T, H, W, C].
      fraction: share of the channels that moves in each direction, rounded down to whole channels.
      direction: "bidirectional" takes the first channels from the next frame and as many after them
        from the previous one. "one-directional" takes the first channels from the previous frame
        and none from the next, so that a stream can be classified frame by frame.

    Raises:
      ValueError: the direction has another name, or the fraction asks for more than all channels.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is {direction!r}; there are {', '.join(DIRECTIONS)}")
    bidirectional = direction == "bidirectional"
    limit, limit_text = (0.5, "1/2") if bidirectional else (1, "1")
    if not 0 <= fraction <= limit:
        raise ValueError(
            f"fraction is {fraction}; a {direction} shift moves 0 to {limit_text} each way"
        )
    count = int(fraction * x.shape[-1])
    if bidirectional:
        parts = (
            _from_next_frame(x[..., :count]),
            _from_previous_frame(x[..., count : 2 * count]),
            x[..., 2 * count :],
        )
    else:
        parts = (_from_previous_frame(x[..., :count]), x[..., count:])
    return jnp.concatenate(parts, axis=-1)


def _from_next_frame(x):
    return jnp.pad(x[:, 1:], ((0, 0), (0, 1), (0, 0), (0, 0), (0, 0)))


def _from_previous_frame(x):
    return jnp.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))


class TemporalShift(nn.Module):
    """`temporal_shift` as a module without parameters: [N, T, H, W, C] -> the same shape.

    In a stream (`ops.stream`) the frame before the clip is the last one of the stream, which only
    a one-directional shift can have.
    """

    fraction: float = 0.125
    direction: str = "bidirectional"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        count = int(self.fraction * x.shape[-1])
        if count > 0 and self.direction == "one-directional" and stream.active():
            past = stream.with_past(self, x[..., :count], 1)[:, :-1]
            return jnp.concatenate([past, x[..., count:]], axis=-1)
        return temporal_shift(x, fraction=self.fraction, direction=self.direction)
