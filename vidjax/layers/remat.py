"""Rematerialisation of a block: its inner values are computed again in the backward pass.

Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016. What is kept is the input of each
block, so memory grows with the number of blocks instead of the number of layers.
"""

import flax.linen as nn
import jax


def run_block(block: nn.Module, x: jax.Array, *, train: bool, remat: bool) -> jax.Array:
    """`block(x, train=train)`, with nothing inside kept for the backward pass if `remat`.

    Parameter paths, values and random draws are the same either way. To be called in the compact
    method of the network that the block belongs to.
    """
    if not remat:
        return block(x, train=train)
    # `train` is no array, so it is not an argument of the function that is traced again.
    rematerialised = nn.remat(lambda block, x: block(x, train=train))
    return rematerialised(block, x)
