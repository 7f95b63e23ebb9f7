"""The stem of Hara's 3D networks: a 7x7x7 convolution, then a pooling that halves time and space.

Hara et al., Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018.
"""

import flax.linen as nn
import jax

from vidjax.layers import temporal
from vidjax.layers.conv_norm import ConvNorm
from vidjax.ops.pool import max_pool


def pooled_stem(model: nn.Module, video: jax.Array, features: int, *, train: bool) -> jax.Array:
    """[N, T, H, W, C] -> [N, T/2, H/4, W/4, features].

    To be called in the compact method of the model, whose submodule `stem` the convolution becomes.

    Args:
        model: of which `style` and the three temporal fields are read; the temporal stride is that
            of the pooling.
        video: the input of the network.
        features: output channels.
        train: whether the normalisation takes the statistics of the batch.
    """
    time = temporal.of_stage(model, 0)
    stem = ConvNorm(
        features,
        time.kernel((7, 7, 7)),
        (1, 2, 2),
        dilation=time.dilation,
        style=model.style,
        name="stem",
    )
    x = model.style.activate(stem(video, train=train))
    window, stride = time.pooling((3, 3, 3), (2, 2, 2))
    padding = tuple(size // 2 for size in window)
    return max_pool(x, window, stride, padding)
