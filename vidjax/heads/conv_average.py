"""One answer for the whole clip from an answer at each place: a linear layer, softmax, their mean.

The fully convolutional form in which SlowFast and its relatives are tested on frames that are
larger than those of training (Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV
2019, section 4). In training the logits are averaged. Where `features` are the map, or its mean,
that is the head `average`, and weights that were trained with the one can be evaluated with the
other. X3D, C3D, ConvColumn and fusion over time have layers behind their map, which this head does
not read.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers import checks
from vidjax.ops.mean import log_mean_probabilities
from vidjax.ops.pool import avg_pool

NEEDS = ("space",)


class Head(nn.Module):
    """The map [N, T', H', W', C] -> logits [N, num_classes], float32.

    In evaluation they are the logarithms of mean probabilities, of which the softmax is the mean.

    Fields:
        num_classes: number of logits.
        dropout: of the averaged features, in training.
        window: frames, rows and columns of the map that are averaged before the linear layer, at
            every place where they fit; 0 averages the whole axis. SlowFast's own is (0, 7, 7).
    """

    num_classes: int
    dropout: float = 0.0
    window: tuple[int, int, int] = (0, 0, 0)
    map_name: str = "features"

    answers = "clip"

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        checks.share("dropout", self.dropout, room="head")
        for size in self.window:
            checks.at_least("window", size, 0, room="head")

    @nn.compact
    def __call__(
        self,
        endpoints: Mapping[str, jax.Array],
        *,
        clip_shape: tuple[int, int, int],
        train: bool,
    ) -> jax.Array:
        """Does not read `clip_shape`, the T, H and W of the input clip."""
        x = endpoints[self.map_name].astype(jnp.float32)
        window = []
        for size, length in zip(self.window, x.shape[1:4], strict=True):
            window.append(min(size or length, length))
        x = avg_pool(x, tuple(window), (1, 1, 1))  # [N, T'', H'', W'', C]
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        logits = nn.Dense(self.num_classes, kernel_init=init, name="logits")(x)
        if train:
            return logits.mean(axis=(1, 2, 3))
        return log_mean_probabilities(logits, (1, 2, 3))
