"""An answer for every place: a pyramid over the levels of the backbone and a linear layer.

A feature pyramid (Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017) in three
dimensions with a light decoder: from the coarsest level down, each level is brought to the same
number of channels and added to what comes from above; one 3x3x3 convolution follows at the finest.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers import checks
from vidjax.layers.conv_norm import ConvNorm, styled_conv
from vidjax.layers.endpoints import levels
from vidjax.layers.resize import resize_clip, time_kind
from vidjax.layers.style import Style

NEEDS = ("space",)


class Head(nn.Module):
    """Levels [N, T', H', W', C'] of the backbone -> logits [N, T, H, W, num_classes], float32.

    Fields:
        num_classes: number of logits of a place.
        channels: of the pyramid.
        num_levels: how many of the coarsest levels the pyramid takes; 0 takes all. With 1 the map
            alone is read and its answers are interpolated.
        dropout: of the decoded features, whole channels of a clip, in training.
    """

    num_classes: int
    channels: int = 64
    num_levels: int = 0
    dropout: float = 0.0
    map_name: str = "features"
    style: Style = Style()

    answers = "places"

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        checks.at_least("channels", self.channels, 1, room="head")
        checks.at_least("num_levels", self.num_levels, 0, room="head")
        checks.share("dropout", self.dropout, room="head")

    @nn.compact
    def __call__(
        self,
        endpoints: Mapping[str, jax.Array],
        *,
        clip_shape: tuple[int, int, int],
        train: bool,
    ) -> jax.Array:
        style = self.style
        time = time_kind(style)
        maps = levels(endpoints, self.map_name)
        names = list(maps)[-self.num_levels :]  # from fine to coarse; all of them with 0
        x = None
        for name in reversed(names):
            lateral = styled_conv(
                self.channels, (1, 1, 1), use_bias=True, style=style, name=f"lateral_{name}"
            )
            level = lateral(maps[name])  # [N, T', H', W', channels]
            if x is None:
                x = level
            else:
                x = level + resize_clip(x, level.shape[1:4], time=time)
        decode = ConvNorm(self.channels, (3, 3, 3), style=style, name="decode")
        x = style.activate(decode(x, train=train))
        # One draw for a clip and channel: neighbouring places would tell what a single one lacks.
        x = nn.Dropout(self.dropout, (1, 2, 3), deterministic=not train)(x)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        logits = nn.Dense(self.num_classes, kernel_init=init, name="logits")(x.astype(jnp.float32))
        # The logits and not the features are interpolated: the same numbers, and fewer channels.
        return resize_clip(logits, clip_shape, time=time)
