"""An answer for every frame: the average over space, dropout, a linear layer at each time step."""

from collections.abc import Mapping

import flax.linen as nn
import jax

from vidjax.layers import checks
from vidjax.layers.endpoints import frame_features
from vidjax.layers.resize import resize_axis, time_kind
from vidjax.layers.style import Style

NEEDS = ("time",)


class Head(nn.Module):
    """The map [N, T', H', W', C] -> logits [N, T, num_classes], float32.

    Fields:
        num_classes: number of logits of a frame.
        dropout: of the averaged features, in training.
        upsample: interpolates to the T frames of the input; without it the T' time steps of the map
            are kept. A causal network holds its last answer in between.
    """

    num_classes: int
    dropout: float = 0.0
    upsample: bool = True
    map_name: str = "features"
    style: Style = Style()

    answers = "frames"
    STREAMS = True  # it answers at each frame of a stream

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        checks.share("dropout", self.dropout, room="head")

    @nn.compact
    def __call__(
        self,
        endpoints: Mapping[str, jax.Array],
        *,
        clip_shape: tuple[int, int, int],
        train: bool,
    ) -> jax.Array:
        x = frame_features(endpoints, self.map_name)  # [N, T', C]
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        logits = nn.Dense(self.num_classes, kernel_init=init, name="logits")(x)
        if self.upsample:
            logits = resize_axis(logits, 1, clip_shape[0], kind=time_kind(self.style))
        return logits
