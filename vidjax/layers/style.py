"""Style: what every layer of a network has in common, handed down as one field.

It says which type the network computes in, how convolutions are lowered, and which normalisation
and activation stand where the family has one. Parameter paths do not depend on it.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.ops.conv import LOWERINGS

DTYPES = ("float32", "bfloat16", "float16")
NORMS = ("batch", "frozen", "group", "layer")
# name: function; the leaky one multiplies negative values by 0.01, as PyTorch's does
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "relu6": nn.relu6,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "gelu": nn.gelu,
    "silu": nn.silu,
}


@dataclasses.dataclass(frozen=True)
class Style:
    """How the layers of a network compute. None leaves a choice to the family.

    Args:
        dtype: the type of activations; parameters and statistics are float32 in any case.
        lowering: how convolutions are lowered, one of `ops.conv.LOWERINGS`.
        norm: "batch", "frozen", "group" or "layer"; `layers.norm` says what each computes.
        batch_groups: into how many groups of clips in a row "batch" divides the batch in training,
            each with statistics of its own, as if every group were on a device of its own. Fewer
            clips a group regularise more (Goyal et al. have 32 images a device).
        epsilon: added to the variance in every normalisation.
        momentum: share of the running statistics that a training step keeps; of "batch" alone.
        activation: a name in ACTIVATIONS, for every activation but those of gates.
        zero_init_last: starts the scale of the last normalisation of each residual block at zero,
            so that the block is its shortcut at first (Goyal et al., Accurate, Large Minibatch SGD,
            2017, section 5.1). With "frozen" it makes sense only for weights that are loaded.
        causal: every operation over time sees the past only, so that `models.streaming` can run the
            network frame by frame: temporal convolutions are padded in front alone, TSM shifts from
            past frames, gates average over the frames so far, group norm is per frame.

    Raises UserError for a name that does not exist and a number out of range.
    """

    dtype: str = "float32"
    lowering: str = "auto"
    norm: str | None = None
    batch_groups: int = 1
    epsilon: float | None = None
    momentum: float | None = None
    activation: str | None = None
    zero_init_last: bool = False
    causal: bool = False

    def __post_init__(self):
        # Here and not in the layers, so that a wrong choice is refused before anything is traced.
        checks.one_of("dtype", self.dtype, DTYPES)
        checks.one_of("lowering", self.lowering, LOWERINGS)
        if self.norm is not None:
            checks.one_of("norm", self.norm, NORMS)
        checks.at_least("batch_groups", self.batch_groups, 1)
        if self.batch_groups > 1 and self.norm not in (None, "batch"):
            raise UserError(
                f"model.batch_groups is {self.batch_groups}, but the norm {self.norm!r} takes no "
                f"statistics of a batch, which could be of groups."
            )
        if self.activation is not None:
            checks.one_of("activation", self.activation, tuple(ACTIVATIONS))
        if self.epsilon is not None:
            checks.at_least("epsilon", self.epsilon, 0)
        if self.momentum is not None:
            checks.share("momentum", self.momentum)
            if self.norm not in (None, "batch"):  # None is batch normalisation
                raise UserError(
                    f"model.momentum belongs to running statistics that move in training; "
                    f"the norm {self.norm!r} has none."
                )

    def with_defaults(
        self, *, epsilon: float | None = None, activation: str | None = None
    ) -> "Style":
        """This style with the values of a family where no choice was made."""
        if self.epsilon is not None:
            epsilon = self.epsilon
        if self.activation is not None:
            activation = self.activation
        return dataclasses.replace(self, epsilon=epsilon, activation=activation)

    def activate(self, x: jax.Array, *, default: str = "relu") -> jax.Array:
        """Applies the activation that was chosen, or else the one that the layer has by default."""
        return ACTIVATIONS[self.activation or default](x)


def refuse_norm(style: Style, network: str) -> None:
    """Raises UserError where a style chooses something of a normalisation, and there is none."""
    for field in ("norm", "epsilon", "momentum"):
        if getattr(style, field) is not None:
            raise UserError(f"{network} has no normalisation, so model.{field} cannot be chosen.")
    if style.batch_groups > 1:
        raise UserError(f"{network} has no normalisation, so model.batch_groups cannot be chosen.")


def refuse_zero_init_last(style: Style, network: str, *, lack: str = "residual blocks") -> None:
    """Raises UserError where a style asks for `zero_init_last` without what that acts on."""
    if style.zero_init_last:
        raise UserError(f"{network} has no {lack}, so model.zero_init_last cannot be chosen.")


def refuse_causal(style: Style, network: str, reason: str) -> None:
    """Raises UserError where a style asks for a causal form of a network that has none.

    `reason` is a clause that says what looks at later frames.
    """
    if style.causal:
        raise UserError(
            f"{network} has no causal form, because {reason}; model.causal cannot be chosen."
        )
