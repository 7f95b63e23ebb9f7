"""The answers of two streams, fused: averaged, in a weighted sum, or by one linear layer on both.

Simonyan and Zisserman, Two-Stream Convolutional Networks for Action Recognition in Videos, NIPS
2014, section 2, where probabilities are averaged. Their second way, a support vector machine on the
stacked scores of streams that were trained apart, is `--job evaluate --runs A B --fit svm`.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.layers import checks
from vidjax.ops.mean import log_mean_probabilities

NEEDS = ("streams",)
FUSIONS = ("average", "linear")


class Head(nn.Module):
    """`features_spatial` and `features_temporal`, [N, T', H', W', C] -> logits [N, num_classes].

    Fields:
        num_classes: number of logits.
        fusion: "average" takes the weighted mean of both streams' answers: of their logits in
            training, and of their probabilities in evaluation. "linear" is one linear layer on the
            averaged features of both.
        temporal_weight: of the temporal stream in the average, where the spatial one has 1.
        dropout: of the averaged features, in training.
    """

    num_classes: int
    fusion: str = "average"
    temporal_weight: float = 1.0
    dropout: float = 0.0

    answers = "clip"

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        checks.one_of("fusion", self.fusion, FUSIONS, room="head")
        checks.at_least("temporal_weight", self.temporal_weight, 0, room="head")
        checks.share("dropout", self.dropout, room="head")

    @nn.compact
    def __call__(
        self,
        endpoints: Mapping[str, jax.Array],
        *,
        clip_shape: tuple[int, int, int],
        train: bool,
    ) -> jax.Array:
        """Does not read `clip_shape`, the T, H and W of the input clip."""
        spatial = self._average(endpoints["features_spatial"], train=train)
        temporal = self._average(endpoints["features_temporal"], train=train)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        if self.fusion == "linear":
            x = jnp.concatenate([spatial, temporal], axis=-1)
            return nn.Dense(self.num_classes, kernel_init=init, name="logits")(x)
        spatial = nn.Dense(self.num_classes, kernel_init=init, name="spatial")(spatial)
        temporal = nn.Dense(self.num_classes, kernel_init=init, name="temporal")(temporal)
        share = self.temporal_weight / (1 + self.temporal_weight)
        if train:
            return (1 - share) * spatial + share * temporal
        both = jnp.stack([spatial, temporal])  # [2, N, K]
        shares = jnp.array([1 - share, share]).reshape(2, 1, 1)
        return log_mean_probabilities(both, 0, weights=shares)

    def _average(self, x, *, train):
        """[N, T', H', W', C] -> [N, C], with dropout."""
        x = x.astype(jnp.float32).mean(axis=(1, 2, 3))
        return nn.Dropout(self.dropout, deterministic=not train)(x)
