"""Recurrent layers over sequences: GRU and LSTM, several of them, in one direction or both.

The cells are Flax's. With x the input and h the state of the step before, a GRU (Cho et al., EMNLP
2014, with the candidate's state bias inside the reset, as in cuDNN) computes

    r = sigmoid(ir(x) + hr(h))    z = sigmoid(iz(x) + hz(h))    n = tanh(in(x) + r * hn(h))
    h' = (1 - z) * n + z * h

where the layers ir, iz, in and hn have biases, and hr and hz have none. An LSTM (Hochreiter and
Schmidhuber, 1997, with a forget gate) computes, with biases in hi, hf, hg and ho alone,

    i, f, o = sigmoid(ix(x) + hx(h)) for x in i, f, o    g = tanh(ig(x) + hg(h))
    c' = f * c + i * g    h' = o * tanh(c')

PyTorch stacks its matrices in the orders r, z, n and i, f, g, o, transposed, and has two biases for
each gate. Both belong to one sum, except in n of the GRU, so `from_torch` adds them up.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from vidjax.ops import stream

CELLS = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}
GATES = {"gru": ("r", "z", "n"), "lstm": ("i", "f", "g", "o")}  # in PyTorch's order


class Recurrent(nn.Module):
    """[N, T, C] -> [N, T, width], or twice the width with `bidirectional`; in float32.

    Fields:
        cell: a name in CELLS.
        width: size of the state.
        num_layers: layers, each of which reads what the one before it gives.
        bidirectional: a second set of layers reads the sequence backwards; the answers of both are
            concatenated behind each layer.
        dropout: of what goes from one layer to the next, in training.
    """

    cell: str = "gru"
    width: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if not stream.stepping():
            stream.note(self, x)
        for number in range(1, self.num_layers + 1):
            if number > 1:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
            if stream.stepping():
                x = self._step(x, number)
                continue
            outputs = nn.RNN(self._cell(f"layer{number}"), name=f"run{number}")(x)
            if self.bidirectional:
                backward = nn.RNN(
                    self._cell(f"layer{number}_backward"),
                    reverse=True,
                    keep_order=True,
                    name=f"run{number}_backward",
                )
                outputs = jax.numpy.concatenate([outputs, backward(x)], axis=-1)
            x = outputs
        return x

    def _step(self, x: jax.Array, number: int) -> jax.Array:
        """One frame of a stream through a layer, which keeps its state: [N, 1, C] -> [N, 1, width].

        A causal network has no layers that run backwards.
        """
        cell = self._cell(f"layer{number}")
        # A GRU has one array of state, an LSTM two.
        first, tree = jax.tree.flatten(cell.initialize_carry(jax.random.key(0), x[:, 0].shape))
        kept = []
        for part, array in enumerate(first):
            kept.append(stream.carried(self, f"state{number}_{part}", lambda a=array: a))
        state = jax.tree.unflatten(tree, [part.value for part in kept])
        state, output = cell(state, x[:, 0])
        for part, value in zip(kept, jax.tree.leaves(state), strict=True):
            part.keep(value)
        return output[:, None]

    def _cell(self, name: str) -> nn.RNNCellBase:
        return CELLS[self.cell](self.width, name=name)


def from_torch(arrays: Mapping[str, np.ndarray], cell: str, *, suffix: str = "_l0") -> dict:
    """The parameters of one of our cells from those of a `torch.nn.GRU` or `LSTM`.

    Args:
        arrays: weight_ih, weight_hh, bias_ih and bias_hh, each with the suffix: [gates * width, C],
            [gates * width, width] and [gates * width].
        cell: "gru" or "lstm".
        suffix: of the layer: "_l0", "_l1_reverse" and so on.

    Returns {layer: {"kernel", "bias"}} as in the docstring of this file.
    """
    count = len(GATES[cell])
    of_input = np.split(np.asarray(arrays[f"weight_ih{suffix}"], np.float32), count)
    of_state = np.split(np.asarray(arrays[f"weight_hh{suffix}"], np.float32), count)
    bias_input = np.split(np.asarray(arrays[f"bias_ih{suffix}"], np.float32), count)
    bias_state = np.split(np.asarray(arrays[f"bias_hh{suffix}"], np.float32), count)
    params: dict[str, Any] = {}
    for gate, w_i, w_h, b_i, b_h in zip(
        GATES[cell], of_input, of_state, bias_input, bias_state, strict=True
    ):
        params[f"i{gate}"] = {"kernel": w_i.T}
        params[f"h{gate}"] = {"kernel": w_h.T}
        if cell == "lstm":
            params[f"h{gate}"]["bias"] = b_i + b_h
        elif gate == "n":
            # The reset multiplies the state's bias but not the input's: they stay apart.
            params["in"]["bias"] = b_i
            params["hn"]["bias"] = b_h
        else:
            params[f"i{gate}"]["bias"] = b_i + b_h
    return params
