"""Foreign weights -> our variables, in NumPy, without PyTorch: `peers` has a file of names for each code base.

`load` recognises the peer, the variant and the number of classes from names and shapes, and refuses what does not fit
whole: every entry of the source is used, and every one of our variables is filled.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from vidjax.convert import leaves, peers
from vidjax.convert.errors import ConvertError


def load(source: Mapping[str, np.ndarray], model: nn.Module | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """A module and its variables from a mapping of a peer's names to arrays.

    With `model` the weights have to fit it; without, the network is recognised. Raises ConvertError that says what did
    not fit: no peer has such names, or entries that are missing, left over or of another shape, all listed together.
    """
    if not isinstance(source, Mapping):
        raise ConvertError(f"load takes a mapping of a peer's names to arrays, not {type(source).__name__}.")
    peer = recognise(source)
    module = peer.network(source) if model is None else model
    return module, leaves.variables(source, peer.entries(source), module, peer.CLIP)


def recognise(source: Mapping[str, np.ndarray]) -> Any:
    """The module of the peer whose names these are. Raises ConvertError."""
    for name in peers.names():
        peer = peers.peer(name)
        if peer.recognises(source):
            return peer
    shown = ", ".join(list(source)[:3])
    raise ConvertError(f"no known network has these names: {shown}, ... Known are those of {', '.join(peers.names())}.")
