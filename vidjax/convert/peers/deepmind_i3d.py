"""google-deepmind/kinetics-i3d: the TensorFlow checkpoints of I3D's authors, `rgb_imagenet`, ...

A name is a scope, a unit and a variable. The scope is `RGB/inception_i3d` or `Flow/inception_i3d`,
or none in the Kinetics-600 network, whose vectors have the shape [1, 1, 1, 1, C]. The variables are
`conv_3d/w`, and `beta`, `moving_mean` and `moving_variance` below `batch_norm`. Their normalisation
has no scale: ours is one.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.frameworks import SONNET
from vidjax.convert.peers._inception_i3d import BLOCKS, UNITS, variant
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "direct",
    "Branch_1/Conv3d_0a_1x1": "reduce1",
    "Branch_1/Conv3d_0b_3x3": "conv1",
    "Branch_2/Conv3d_0a_1x1": "reduce2",
    "Branch_2/Conv3d_0b_3x3": "conv2",
    "Branch_3/Conv3d_0b_1x1": "pooled",
}
# The authors broke their own rule once.
EXCEPTIONS = {"Mixed_5b/Branch_2/Conv3d_0b_3x3": "Mixed_5b/Branch_2/Conv3d_0a_3x3"}
NAME = re.compile(
    r"(?P<scope>(.*?/)??)"
    r"(Conv3d_[12]\w_\dx\d|Mixed_\d\w/Branch_\d/Conv3d_0\w_\dx\d|Logits/Conv3d_0c_1x1)"
    r"/(conv_3d/[wb]|batch_norm/(beta|moving_mean|moving_variance))"
)


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of an original I3D checkpoint, complete or not."""
    return any(NAME.fullmatch(name) for name in source)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for two networks at once, or input of other channels."""
    arrays = table(source).our_arrays(source)
    return models.build("i3d", variant=variant(arrays), num_classes=recognition.num_classes(arrays))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names below the scope of the source. Raises ConvertError for two scopes."""
    scope = _scope(source)
    layers = {}
    for theirs, ours in UNITS.items():
        layers[ours] = _unit(f"{scope}{theirs}")
    for their_block, our_block in BLOCKS.items():
        for their_branch, our_branch in BRANCHES.items():
            theirs = f"{their_block}/{their_branch}"
            theirs = EXCEPTIONS.get(theirs, theirs)
            layers[f"{our_block}/{our_branch}"] = _unit(f"{scope}{theirs}")
    layers["head/logits"] = f"{scope}Logits/Conv3d_0c_1x1/conv_3d"
    return Table(layers, framework=SONNET, constants={"norm/scale": 1.0})


def _unit(name: str) -> tuple[str, str]:
    """The names of a unit's convolution and normalisation."""
    return f"{name}/conv_3d", f"{name}/batch_norm"


def _scope(source: Mapping[str, np.ndarray]) -> str:
    """What stands before the names of the units, with a slash at its end."""
    scopes = set()
    for name in source:
        match = NAME.fullmatch(name)
        if match:
            scopes.add(match["scope"])
    if len(scopes) > 1:
        listed = ", ".join(scope or "(no scope)" for scope in sorted(scopes))
        raise ConvertError(
            f"these are {len(scopes)} networks, {listed}: give the variables of one."
        )
    return scopes.pop()
