"""What heads read of the endpoints of a backbone: its levels, and features of each frame."""

import re
import sys
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

# What heads can need of a backbone, and what a refusal calls it.
NEEDS = {
    "time": "several time steps",
    "space": "positions in space",
    "streams": "two streams, as those of two_stream",
}


def map_name(network: nn.Module) -> str:
    """The last endpoint of a network with time and space, as the file of its family names it."""
    return sys.modules[type(network).__module__].MAP


def levels(endpoints: Mapping[str, jax.Array], map_name: str) -> dict[str, jax.Array]:
    """The endpoints from the finest to the map, which is the last one with time and space.

    Names are those of the map's pathway: with the map `stage4_joint` they are `stem_joint`,
    `stage1_joint` and so on. Where several endpoints in a row have the same size, only the last of
    them, the deepest, is a level.
    """
    pathway = re.fullmatch(r"(?:stage\d+|stem)(_\w+)", map_name)
    suffix = pathway[1] if pathway else ""
    names = []
    for name in (f"stem{suffix}", *(f"stage{number}{suffix}" for number in range(1, 20))):
        if name in endpoints:
            names.append(name)
        if name == map_name:
            break
    if map_name not in names:
        names.append(map_name)
    deepest = {}
    for name in names:
        deepest[endpoints[name].shape[1:4]] = name
    return {name: endpoints[name] for name in deepest.values()}


def frame_features(endpoints: Mapping[str, jax.Array], map_name: str) -> jax.Array:
    """The mean of the map over space, in float32: [N, T', C]."""
    return endpoints[map_name].astype(jnp.float32).mean(axis=(2, 3))
