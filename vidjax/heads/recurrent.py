"""A recurrent network over the features of each frame: GRU or LSTM, for the clip or every frame.

With a 2D backbone this is CNN+RNN (Donahue et al., Long-term Recurrent Convolutional Networks, CVPR
2015). `growing` is of Ng et al., Beyond Short Snippets, CVPR 2015, section 3.2: a prediction at
every frame, weighted by a gain that grows linearly along the clip. Departs from it in training,
where the paper weights the loss of each frame: here the weighted mean of the frames' logarithms of
probabilities has one loss, which is the paper's up to its normalisation over the classes.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidjax.core.errors import UserError
from vidjax.layers import checks
from vidjax.layers.endpoints import frame_features
from vidjax.layers.recurrent import CELLS, Recurrent
from vidjax.layers.resize import resize_axis, time_kind
from vidjax.layers.style import Style
from vidjax.ops import stream
from vidjax.ops.mean import log_mean_probabilities, mean_over_clip

NEEDS = ("time",)
OUTPUTS = ("last", "mean", "growing", "every")


class Head(nn.Module):
    """The map [N, T', H', W', C] -> logits [N, num_classes], or [N, T, num_classes] with "every".

    Fields:
        num_classes: number of logits.
        cell: "gru" or "lstm".
        width: size of the state.
        layers: how many recurrent layers stacked.
        bidirectional: a second set of layers reads the clip backwards.
        output: "last" answers from the last state (of both directions), "mean" from the mean of all
            states, "growing" by a weighted mean of an answer at every frame, and "every" answers
            for each of the T frames of the input.
        dropout: of the features, between layers, and of the states, in training.
    """

    num_classes: int
    cell: str = "gru"
    width: int = 256
    layers: int = 1
    bidirectional: bool = False
    output: str = "last"
    dropout: float = 0.0
    map_name: str = "features"
    style: Style = Style()

    STREAMS = True  # it answers at each frame of a stream

    def __post_init__(self):
        super().__post_init__()
        checks.at_least("num_classes", self.num_classes, 1, room="head")
        checks.one_of("cell", self.cell, tuple(CELLS), room="head")
        checks.at_least("width", self.width, 1, room="head")
        checks.at_least("layers", self.layers, 1, room="head")
        checks.one_of("output", self.output, OUTPUTS, room="head")
        checks.share("dropout", self.dropout, room="head")
        if self.bidirectional and self.style.causal:
            raise UserError(
                "head.bidirectional reads the clip backwards, which a causal network cannot "
                "(model.causal)."
            )

    @property
    def answers(self) -> str:
        """ "frames" with the output "every", else "clip"."""
        return "frames" if self.output == "every" else "clip"

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
        recurrent = Recurrent(
            cell=self.cell,
            width=self.width,
            num_layers=self.layers,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            name="recurrent",
        )
        states = recurrent(x, train=train)  # [N, T', width], or twice the width
        if self.output == "last":
            states = self._last(states)  # [N, width]
        elif self.output == "mean":
            states = mean_over_clip(self, states[:, :, None, None])[:, 0, 0, 0]
        states = nn.Dropout(self.dropout, deterministic=not train)(states)
        init = nn.initializers.normal(0.01)  # small: the first loss is near log(num_classes)
        logits = nn.Dense(self.num_classes, kernel_init=init, name="logits")(states)
        if self.output == "growing":
            return growing_mean(self, logits, train=train)
        if self.output == "every":
            return resize_axis(logits, 1, clip_shape[0], kind=time_kind(self.style))
        return logits

    def _last(self, states: jax.Array) -> jax.Array:
        """The state that has read the whole clip: [N, T', C] -> [N, C]."""
        if not self.bidirectional:
            return states[:, -1]
        # The backward layers have read everything at the first frame.
        return jnp.concatenate([states[:, -1, : self.width], states[:, 0, self.width :]], axis=-1)


def growing_mean(module: nn.Module, logits: jax.Array, *, train: bool) -> jax.Array:
    """The answers of all frames with weights 1, 2, ... T: [N, T, K] -> [N, K].

    In training they are averaged as logarithms of probabilities, in evaluation as probabilities.
    In a stream the module keeps the mean and the number of frames so far.
    """
    if stream.stepping():
        answer = jax.nn.log_softmax(logits[:, 0])
        mean = stream.carried(module, "log_mean", lambda: jnp.zeros_like(answer))
        count = stream.carried(module, "count", lambda: jnp.zeros((), jnp.int32))
        number = count.value + 1
        weight = 2 / (number + 1)  # of frame t in 1 + 2 + ... + t; 1 at the first
        new = jnp.logaddexp(jnp.log1p(-weight) + mean.value, jnp.log(weight) + answer)
        mean.keep(new)
        count.keep(number)
        return new
    stream.note(module, logits)
    num_frames = logits.shape[1]
    gains = jnp.arange(1, num_frames + 1, dtype=logits.dtype)
    gains = (gains / gains.sum())[:, None]  # [T, 1]
    if train:
        return (gains * jax.nn.log_softmax(logits)).sum(axis=1)
    return log_mean_probabilities(logits, 1, weights=gains)
