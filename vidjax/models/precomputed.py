"""No backbone: its input is what a backbone gave, stored by `--job features`.

So a head is trained on the features of a frozen backbone, which cost one pass over the clips. The
input is [N, T, H, W, C] with the channels of those features; T, H and W are 1 where the average
over them was stored.
"""

import flax.linen as nn
import jax

from vidjax.layers.style import Style, refuse_norm, refuse_zero_init_last

# name: fields of Model
VARIANTS = {"features": {}}
MAP = "features"  # has time and space as far as the stored arrays have


class Model(nn.Module):
    """Backbone without parameters: [N, T, H, W, C] -> the same as endpoint `features`.

    `width` does nothing, as there are no channels of its own to scale: every family has it.
    """

    width: float = 1.0
    style: Style = Style()

    def __post_init__(self):
        super().__post_init__()
        refuse_norm(self.style, "A backbone without layers")
        refuse_zero_init_last(self.style, "A backbone without layers")

    @nn.compact
    def __call__(self, video: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        return {"features": video.astype(self.style.dtype)}
