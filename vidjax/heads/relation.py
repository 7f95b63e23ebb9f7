"""Temporal relations: perceptrons over ordered tuples of frames, at one scale or at all of them.

Zhou et al., Temporal Relational Reasoning in Videos, ECCV 2018, equations 1 to 4, with the layers
of the authors' code: each frame's features are projected, a tuple's are concatenated, and a hidden
layer and a linear layer answer. The answers of all tuples of a scale, and of all scales, are added.
Tuples are drawn at random in training. In evaluation they are fixed, and spread evenly over all
tuples in their lexicographic order.
"""

import itertools
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.layers.endpoints import frame_features

NEEDS = ("time",)
MAX_LISTED = 4096  # up to so many tuples are listed, to draw different ones


class Head(nn.Module):
    """The map [N, T', H', W', C] -> logits [N, num_classes], float32.

    Fields:
        num_classes: number of logits.
        scales: frames of a tuple, for each relation; () for all from T' down to 2, whose
            parameters fit clips of one length alone. A single scale is TRN, several are multi-scale
            TRN.
        tuples: how many tuples of each scale are read, if there are so many.
        features: size of a frame's projection.
        hidden: size of the hidden layer; 0 for `features` with several scales and twice as much
            with one, as in the authors' code.
        dropout: of the frames' features and of the hidden layer, in training.
    """

    num_classes: int
    scales: tuple[int, ...] = ()
    tuples: int = 3
    features: int = 256
    hidden: int = 0
    dropout: float = 0.0
    map_name: str = "features"

    answers = "clip"

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        checks.sizes("scales", self.scales, room="head")
        if len(set(self.scales)) < len(self.scales):
            raise UserError(f"head.scales is {self.scales}; each scale stands in it once.")
        checks.at_least("tuples", self.tuples, 1, room="head")
        checks.at_least("features", self.features, 1, room="head")
        checks.at_least("hidden", self.hidden, 0, room="head")
        checks.share("dropout", self.dropout, room="head")

    @nn.compact
    def __call__(
        self,
        endpoints: Mapping[str, jax.Array],
        *,
        clip_shape: tuple[int, int, int],
        train: bool,
    ) -> jax.Array:
        """Raises UserError for a scale of more frames than the map has."""
        x = frame_features(endpoints, self.map_name)  # [N, T', C]
        num_frames = x.shape[1]
        scales = self.scales or all_scales(num_frames)
        if max(scales) > num_frames:
            raise UserError(
                f"head.scales has tuples of {max(scales)} frames, but the backbone's map of this "
                f"clip has {num_frames}; read more frames with data.num_frames."
            )
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.features, name="project")(x)  # [N, T', features]
        hidden = self.hidden
        if not hidden:
            hidden = self.features if len(scales) > 1 else 2 * self.features
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        total = jnp.zeros((x.shape[0], self.num_classes), jnp.float32)
        for scale in scales:
            tuples = self._tuples(num_frames, scale, train=train)  # int [R, scale]
            y = nn.relu(x[:, tuples])  # [N, R, scale, features]
            y = y.reshape(*y.shape[:2], -1)  # [N, R, scale * features]
            y = nn.relu(nn.Dense(hidden, name=f"hidden{scale}")(y))
            y = nn.Dropout(self.dropout, deterministic=not train)(y)
            answer = nn.Dense(self.num_classes, kernel_init=init, name=f"logits{scale}")(y)
            total = total + answer.sum(axis=1)
        return total

    def _tuples(self, num_frames: int, scale: int, *, train: bool) -> jax.Array:
        """Rising frame numbers, int32 [R, scale]: drawn in training, fixed in evaluation."""
        total = math.comb(num_frames, scale)
        count = min(self.tuples, total)
        if not train or count == total:
            # Rounded up, in whole numbers: there can be more tuples than a float counts exactly.
            ranks = [-(-number * total // count) for number in range(count)]
            return jnp.asarray([tuple_of_rank(rank, num_frames, scale) for rank in ranks])
        rng = self.make_rng("dropout")
        if total <= MAX_LISTED:
            listed = list(itertools.combinations(range(num_frames), scale))
            chosen = jax.random.choice(rng, total, (count,), replace=False)
            return jnp.asarray(listed)[chosen]
        # Of so many tuples the same one is hardly drawn twice: each is drawn by itself.
        keys = jax.random.split(rng, count)
        orders = jax.vmap(lambda key: jax.random.permutation(key, num_frames))(keys)
        return jnp.sort(orders[:, :scale], axis=1)


def all_scales(num_frames: int) -> tuple[int, ...]:
    """From all frames down to two; a single frame has the scale 1."""
    return tuple(range(num_frames, 1, -1)) if num_frames > 1 else (1,)


def tuple_of_rank(rank: int, num_frames: int, scale: int) -> tuple[int, ...]:
    """The rank-th tuple of `scale` rising numbers below `num_frames` in lexicographic order."""
    chosen = []
    number = 0
    for left in range(scale, 0, -1):
        # Tuples that go on with `number` come first; skip numbers while the rank lies behind them.
        while rank >= (with_number := math.comb(num_frames - number - 1, left - 1)):
            rank -= with_number
            number += 1
        chosen.append(number)
        number += 1
    return tuple(chosen)
