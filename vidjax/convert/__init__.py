"""Foreign weights -> our variables, in NumPy, without PyTorch: `peers` has a file of names for each code base.

`load` recognises the peer, the variant and the number of classes from names and shapes, and refuses what does not fit
whole: every entry of the source is used, and every one of our variables is filled.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np

from vidjax.convert import files, own, peers
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError


def load(
    source: Mapping[str, np.ndarray] | str | os.PathLike, model: nn.Module | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """A module and its variables from a file, or from a mapping of a peer's names to arrays.

    With `model` the weights have to fit it; without, the network is recognised. Raises ConvertError that says what did
    not fit: no peer has such names, or entries that are missing, left over or of another shape, all listed together.
    """
    return read(source, model)[:2]


def read(
    source: Mapping[str, np.ndarray] | str | os.PathLike, model: nn.Module | None = None
) -> tuple[nn.Module, dict[str, Any], tuple[int, ...]]:
    """What `load` gives, and a clip [N, T, H, W, C] that the network takes. Raises ConvertError."""
    if isinstance(source, str | os.PathLike):
        about, source = own.read_header(Path(source)), files.read(Path(source))
        if own.METADATA in about:
            module, clip = own.network(about)
            entries = [leaves.Entry(name, tuple(name.split("/")), leaves.same) for name in source]
            module = model or module
            return module, leaves.variables(source, entries, module, clip), clip
    if not isinstance(source, Mapping):
        raise ConvertError(
            f"load takes a file or a mapping of names to arrays, not {type(source).__name__}."
        )
    peer = recognise(source)
    module = peer.network(source) if model is None else model
    return module, leaves.variables(source, peer.entries(source), module, peer.CLIP), peer.CLIP


def recognise(source: Mapping[str, np.ndarray]) -> Any:
    """The module of the peer whose names these are. Raises ConvertError."""
    for name in peers.names():
        peer = peers.peer(name)
        if peer.recognises(source):
            return peer
    shown = ", ".join(list(source)[:3])
    raise ConvertError(
        f"no known network has these names: {shown}, ...\nKnown are those of {', '.join(peers.names())}."
    )


def save(
    path: str | os.PathLike,
    module: nn.Module,
    variables: Mapping[str, Any],
    *,
    clip: tuple[int, ...],
) -> None:
    """Writes variables as safetensors with our names; `load` reads them back with their network.

    `clip` is a shape [N, T, H, W, C] that the module takes. Raises ConvertError where the file cannot be written.
    """
    files.write(Path(path), own.names(variables), own.header(module, clip))
