"""Matrix products that accumulate in float32, and the limits that decide how they are taken."""

import jax
import jax.numpy as jnp
from jax import lax

# Elements of an im2col matrix. Up to this many, the matrix of all frames is made at once. A larger
# one would leave a CPU's cache before the product reads it, so a loop makes it frame by frame.
IM2COL_MAX_ELEMENTS = 2**21


def fits_at_once(num_elements: int) -> bool:
    """Whether im2col gathers so many elements at once, and not frame by frame.

    A symbolic number (of an export for any number of clips) may be large, so it does not.
    """
    return isinstance(num_elements, int) and num_elements <= IM2COL_MAX_ELEMENTS


def has_few_positions(num_positions: int, channels: int) -> bool:
    """Whether flipping or slicing a kernel takes longer than the matrix product with it.

    The product reads each weight once for each position, so at few positions the time goes into
    copies of the kernel. A symbolic number of positions may be large, so it is not few.

    Args:
      num_positions: N * T' * H' * W'.
      channels: input channels of the kernel.
    """
    return isinstance(num_positions, int) and num_positions <= channels


def contract(left: jax.Array, right: jax.Array, *, axes: tuple[int, int]) -> jax.Array:
    """The product over one axis of each array; the axes of `left` that remain come first."""
    left_axis, right_axis = axes
    dimension_numbers = ((left_axis,), (right_axis,)), ((), ())
    return lax.dot_general(left, right, dimension_numbers, preferred_element_type=jnp.float32)


def flatten_positions(x: jax.Array) -> jax.Array:
    """[..., C] -> [positions, C]."""
    return x.reshape(-1, x.shape[-1])


def sum_over_positions(left: jax.Array, right: jax.Array) -> jax.Array:
    """left^T right, summed over all positions: [..., C] and [..., F] -> [C, F]."""
    return contract(flatten_positions(left), flatten_positions(right), axes=(0, 0))
