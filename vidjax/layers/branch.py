"""The end of a residual branch, ahead of the sum: a gate over channels, and stochastic depth.

Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, figure 3: the gate stands behind the last
normalisation. Huang et al., Deep Networks with Stochastic Depth, ECCV 2016: a branch is left out in
training at a rate that grows linearly with the depth, equation 4. Departs from it as later networks
do: each clip draws for itself, and what stays is scaled up in training, not down in evaluation.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.layers.squeeze_excite import SqueezeExcite
from vidjax.layers.style import Style
from vidjax.layers.widths import scaled

DROPPED_AXES = (1, 2, 3, 4)  # all but the clips: a branch stays or goes as a whole


def end_of_branch(
    y: jax.Array, *, squeeze_excite: float, drop_rate: float, style: Style, train: bool
) -> jax.Array:
    """The output of a branch behind its gate and stochastic depth: [N, T, H, W, C] -> the same.

    To be called in the compact method of a block, whose submodule the gate becomes.

    Args:
        y: output of the last normalisation of the branch.
        squeeze_excite: inner channels of the gate over the branch's; 0 leaves the gate out.
        drop_rate: the share of clips whose branch is left out in training. It draws from the random
            stream "dropout".
        style: of the network.
        train: whether branches are left out.
    """
    if squeeze_excite:
        inner = scaled(y.shape[-1], squeeze_excite)
        y = SqueezeExcite(inner, style=style, name="squeeze_excite")(y)
    if drop_rate:
        y = nn.Dropout(drop_rate, broadcast_dims=DROPPED_AXES)(y, deterministic=not train)
    return y


def drop_rates(rate: float, depths: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    """The rates of the blocks of each stage: block l of L has rate * l / L."""
    num_blocks = sum(depths)
    rates = []
    first = 1
    for depth in depths:
        numbers = range(first, first + depth)
        rates.append(tuple(rate * number / num_blocks for number in numbers))
        first += depth
    return tuple(rates)


def check(stochastic_depth: float, squeeze_excite: float) -> None:
    """Refuses a rate outside [0, 1) and a ratio outside [0, 1]: a UserError."""
    checks.share("stochastic_depth", stochastic_depth)
    if not 0 <= squeeze_excite <= 1:
        raise UserError(f"model.squeeze_excite is {squeeze_excite}; it is at least 0, at most 1.")
