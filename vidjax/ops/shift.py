"""The temporal shift: some channels take the values of the frame after, some those of the frame before.

Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019, section 3. It costs no arithmetic;
a 2D network with it sees as much of its clip as one with kernels over time. Beyond the clip's ends there are zeros.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

DIRECTIONS = ("bidirectional", "one-directional")


def temporal_shift(
    x: jax.Array, *, fraction: float = 0.125, direction: str = "bidirectional"
) -> jax.Array:
    """[N, T, H, W, C] -> the same shape; `fraction` of the channels, rounded down, move each way.

    "bidirectional": the first ones come from the frame after, as many behind them from the frame before.
    "one-directional": the first ones come from the frame before and nothing from the future, so that a stream can be
    classified frame by frame. Raises ValueError for another direction, and a fraction of more channels than there are.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is {direction!r}; there are {', '.join(DIRECTIONS)}")
    both = direction == "bidirectional"
    if not 0 <= fraction <= (0.5 if both else 1):
        raise ValueError(
            f"fraction is {fraction}; a {direction} shift moves 0 to {'1/2' if both else '1'} each way"
        )
    count = int(fraction * x.shape[-1])
    if both:
        moved = (
            _from_after(x[..., :count]),
            _from_before(x[..., count : 2 * count]),
            x[..., 2 * count :],
        )
    else:
        moved = (_from_before(x[..., :count]), x[..., count:])
    return jnp.concatenate(moved, axis=-1)


def _from_after(x):
    return jnp.pad(x[:, 1:], ((0, 0), (0, 1), (0, 0), (0, 0), (0, 0)))


def _from_before(x):
    return jnp.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))


class TemporalShift(nn.Module):
    """`temporal_shift` with its settings as fields: [N, T, H, W, C] -> the same shape, no parameters."""

    fraction: float = 0.125
    direction: str = "bidirectional"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return temporal_shift(x, fraction=self.fraction, direction=self.direction)
