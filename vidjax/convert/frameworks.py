"""How frameworks name the variables of a layer, and how they lay out its kernels.

Our layouts are Flax's: a convolution's kernel is [kt, kh, kw, C, F], a linear layer's is [C, F],
where C counts the channels that go in and F those that come out.

A layout function gets an array and the number of axes that our variable has. It returns any array
that it cannot bring into our layout as it is, so that the comparison of shapes reports it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Framework:
    """The names of a layer's variables, without the layer's name, and the layout of arrays."""

    separator: str  # between the name of a layer and that of its variable
    layer: Mapping[str, str]  # our variable of a convolution or linear layer -> theirs
    norm: Mapping[str, str]  # our variable of a normalisation -> theirs
    layout: Callable[[np.ndarray, int], np.ndarray]  # array, number of our axes -> our layout

    def variables(self, layer: str) -> Mapping[str, str]:
        """Our names of the variables of a layer of ours, such as "backbone/stem/norm" -> theirs."""
        # Every normalisation of ours is a module called "norm", and nothing else is.
        is_norm = layer.rpartition("/")[2] == "norm"
        return self.norm if is_norm else self.layer


def pytorch_layout(array: np.ndarray, num_axes: int) -> np.ndarray:
    """Kernels [F, C, kt, kh, kw] -> [kt, kh, kw, C, F], linear layers [F, C] -> [C, F].

    A kernel over one frame may be [F, C, kh, kw], a linear layer [F, C, 1, 1, 1].
    """
    if num_axes == 5:
        if array.ndim == 4:
            array = array[:, :, None]  # [F, C, kh, kw] -> [F, C, 1, kh, kw]
        if array.ndim == 5:
            array = array.transpose(2, 3, 4, 1, 0)  # -> [kt, kh, kw, C, F]
        return array
    if num_axes == 2:
        # Some code bases write a linear layer as a convolution over one position.
        if array.ndim > 2 and set(array.shape[2:]) == {1}:
            array = array.reshape(array.shape[:2])  # [F, C, 1, 1, 1] -> [F, C]
        if array.ndim == 2:
            array = array.T  # [F, C] -> [C, F]
        return array
    return array


def sonnet_layout(array: np.ndarray, num_axes: int) -> np.ndarray:
    """Vectors [1, ..., C] -> [C], linear layers [1, ..., C, F] -> [C, F]; kernels are like ours."""
    leading = array.shape[:-num_axes]
    if num_axes < 5 and set(leading) == {1}:
        return array.reshape(array.shape[-num_axes:])
    return array


def keras_layout(array: np.ndarray, num_axes: int) -> np.ndarray:
    """Kernels over an image, [kh, kw, C, F] -> over a single frame, [1, kh, kw, C, F]."""
    if num_axes == 5 and array.ndim == 4:
        return array[None]
    return array


PYTORCH = Framework(
    separator=".",
    layer={"kernel": "weight", "bias": "bias"},
    norm={"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"},
    layout=pytorch_layout,
)
# Sonnet 1 normalises without a scale.
SONNET = Framework(
    separator="/",
    layer={"kernel": "w", "bias": "b"},
    norm={"bias": "beta", "mean": "moving_mean", "var": "moving_variance"},
    layout=sonnet_layout,
)
KERAS = Framework(
    separator="/",
    layer={"kernel": "kernel", "bias": "bias"},
    norm={"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"},
    layout=keras_layout,
)
