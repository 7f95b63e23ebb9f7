"""google-deepmind/kinetics-i3d: the TensorFlow checkpoints of I3D's authors, `rgb_imagenet`, `flow_imagenet`, ...

A name is a scope (`RGB/inception_i3d`, `Flow/inception_i3d`, or none in the Kinetics-600 one, whose vectors have the
shape [1, 1, 1, 1, C]), a unit and a variable: `conv_3d/w`, and `batch_norm/` `beta`, `moving_mean`, `moving_variance`.
Their normalisation has no scale: ours is one.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
STEM = "Conv3d_1a_7x7"
VARIANTS = {3: "i3d_inception", 2: "i3d_inception_flow"}  # by the input's channels
UNITS = {STEM: "stem", "Conv3d_2b_1x1": "stage1_reduce", "Conv3d_2c_3x3": "stage1_conv"}
BLOCKS = {
    "Mixed_3b": "stage2_block1",
    "Mixed_3c": "stage2_block2",
    "Mixed_4b": "stage3_block1",
    "Mixed_4c": "stage3_block2",
    "Mixed_4d": "stage3_block3",
    "Mixed_4e": "stage3_block4",
    "Mixed_4f": "stage3_block5",
    "Mixed_5b": "stage4_block1",
    "Mixed_5c": "stage4_block2",
}
BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "direct",
    "Branch_1/Conv3d_0a_1x1": "reduce1",
    "Branch_1/Conv3d_0b_3x3": "conv1",
    "Branch_2/Conv3d_0a_1x1": "reduce2",
    "Branch_2/Conv3d_0b_3x3": "conv2",
    "Branch_3/Conv3d_0b_1x1": "pooled",
}
RENAMED = {
    "Mixed_5b/Branch_2/Conv3d_0b_3x3": "Mixed_5b/Branch_2/Conv3d_0a_3x3"
}  # the one that breaks the rule there
LOGITS = "Logits/Conv3d_0c_1x1/conv_3d"
NAME = re.compile(
    r"(?P<scope>(.*?/)??)(Conv3d_[12]\w_\dx\d|Mixed_\d\w/Branch_\d/Conv3d_0\w_\dx\d|Logits/Conv3d_0c_1x1)"
    r"/(conv_3d/[wb]|batch_norm/(beta|moving_mean|moving_variance))"
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of an original I3D checkpoint, whole or not."""
    return any(NAME.fullmatch(name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for two networks at once, or input channels that no variant has."""
    scope = _scope(source)
    kernel = np.shape(source.get(f"{scope}{STEM}/conv_3d/w", ()))
    channels = kernel[3] if len(kernel) == 5 else 3
    names = [f"{scope}{LOGITS}/{end}" for end in ("w", "b")]
    shapes = [np.shape(source[name]) for name in names if name in source]
    num_classes = max(
        (shape[-1] for shape in shapes if shape), default=1
    )  # 1: absent, to be told of
    return models.build("i3d", variant=variant(channels), num_classes=num_classes)


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names under the scope that the source shows. Raises ConvertError for two networks at once."""
    scope, found = _scope(source), []
    for theirs, ours in UNITS.items():
        found += _unit(f"{scope}{theirs}", ours)
    for theirs, ours in BLOCKS.items():
        for branch, unit in BRANCHES.items():
            name = f"{theirs}/{branch}"
            found += _unit(f"{scope}{RENAMED.get(name, name)}", ours, unit)
    return found + [
        leaves.Entry(f"{scope}{LOGITS}/w", ("params", "head", "logits", "kernel"), _matrix),
        leaves.Entry(f"{scope}{LOGITS}/b", ("params", "head", "logits", "bias"), leaves.same),
    ]


def variant(channels: int) -> str:
    """The variant of i3d for a number of input channels. Raises ConvertError where there is none."""
    if channels not in VARIANTS:
        raise ConvertError(
            f"an I3D of {channels} input channels is not a variant of i3d: colour has 3, flow has 2."
        )
    return VARIANTS[channels]


def _unit(theirs: str, *ours: str) -> list[leaves.Entry]:
    norm = ("backbone", *ours, "norm")
    return [
        leaves.Entry(
            f"{theirs}/conv_3d/w", ("params", "backbone", *ours, "conv", "kernel"), leaves.same
        ),
        leaves.Entry("", ("params", *norm, "scale"), np.ones),
        leaves.Entry(f"{theirs}/batch_norm/beta", ("params", *norm, "bias"), _vector),
        leaves.Entry(f"{theirs}/batch_norm/moving_mean", ("batch_stats", *norm, "mean"), _vector),
        leaves.Entry(
            f"{theirs}/batch_norm/moving_variance", ("batch_stats", *norm, "var"), _vector
        ),
    ]


def _scope(source) -> str:
    """What comes before the names of the units, a slash at its end."""
    scopes = sorted({match["scope"] for name in source if (match := NAME.fullmatch(name))})
    if len(scopes) > 1:
        shown = ", ".join(scope or "(no scope)" for scope in scopes)
        raise ConvertError(f"these are {len(scopes)} networks, {shown}: give the variables of one.")
    return scopes[0]


def _vector(array: np.ndarray) -> np.ndarray:
    """[1, ..., C] -> [C]; anything else stays, to be told of."""
    return array.reshape(-1) if set(array.shape[:-1]) <= {1} else array


def _matrix(array: np.ndarray) -> np.ndarray:
    """[1, 1, 1, C, F] -> [C, F]; anything else stays, to be told of."""
    return array.reshape(array.shape[-2:]) if set(array.shape[:-2]) <= {1} else array
