"""Weights of other code bases -> our variables, in NumPy, without PyTorch.

`addresses` and `download` get published files by name, `formats` reads files, `peers` has one file
of names for each code base, `filling` fills our variables by these, and `transfer` fits weights to
a run. `load` recognises the code base, the variant and the number of classes from names and shapes.
It refuses what does not fit whole: every array of the source is used, and every variable of the
network is filled. The few arrays that a peer's file lists as dropped are left out, and the log
names them.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

from vidjax.convert import addresses, description, download, filling, formats, peers
from vidjax.convert.formats import safetensors_file
from vidjax.core.errors import ConvertError

Source = Mapping[str, np.ndarray] | str | os.PathLike

log = logging.getLogger("vidjax")


def load(source: Source, model: nn.Module | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """A network and its variables, from a weight file or from a mapping of names to arrays.

    A text like "torchvision:r3d_18" is the name of published weights, which are fetched once into
    the cache (`convert.addresses`, `convert.download`).
    With `model` the weights have to fit it; without, the network is recognised. Raises ConvertError
    for names that no known code base has, and for arrays that are missing, left over or of another
    shape, all listed together.
    """
    content = read(source, model)
    return content.module, content.variables


class Content(NamedTuple):
    """What a source of weights holds."""

    module: nn.Module
    variables: dict[str, Any]
    clip: tuple[int, ...]  # [N, T, H, W, C], one that the network takes
    # what colours from 0 to 1 were normalised with, {"mean": ..., "std": ...}; None: not known
    colours: dict[str, tuple[float, ...]] | None = None


def read(source: Source, model: nn.Module | None = None) -> Content:
    """What `load` returns, and how its network is used. Raises ConvertError."""
    if isinstance(source, str | os.PathLike):
        path = locate(source)
        metadata = safetensors_file.read_metadata(path)
        source = formats.read(path)
        if description.KEY in metadata:
            return _read_ours(source, metadata, model)
    if not isinstance(source, Mapping):
        raise ConvertError(
            f"load takes a file or a mapping of names to arrays, not {type(source).__name__}."
        )
    peer = recognise(source)
    # Recognise before reading the table: what is no network of ours is refused with its reason.
    module = peer.network(source) if model is None else model
    table = peer.table(source)
    expected = filling.shapes(module, peer.CLIP)
    origins = filling.origins(table, expected)
    variables = filling.fill(source, expected, origins, dropped=table.dropped)
    dropped = sorted(set(source) & set(table.dropped))
    if dropped:
        log.info(
            "%d arrays are left out, which this network has no place for: %s",
            len(dropped),
            ", ".join(dropped),
        )
    return Content(module, variables, peer.CLIP, getattr(peer, "COLOURS", None))


def _read_ours(
    source: Mapping[str, np.ndarray], metadata: Mapping[str, str], model: nn.Module | None
) -> Content:
    """`read` for a file that `save` wrote, whose names are our paths."""
    module, clip = description.read_header(metadata)
    if model is not None:
        module = model
    expected = filling.shapes(module, clip)
    origins = {path: filling.Origin("/".join(path)) for path in expected}
    return Content(module, filling.fill(source, expected, origins), clip)


def locate(source: str | os.PathLike, cache: Path | None = None) -> Path:
    """The path of a weight file; that of published weights, if the text is a name of some.

    Weights by name are fetched into `cache`, None for the usual one. Raises what `download.fetch`
    raises.
    """
    if isinstance(source, str) and addresses.is_name(source):
        return download.fetch(source, cache)
    return Path(source)


def recognise(source: Mapping[str, np.ndarray]) -> ModuleType:
    """The peer, a file of `peers`, whose names these are. Raises ConvertError."""
    for name in peers.names():
        peer = peers.peer(name)
        if peer.recognises(source):
            return peer
    if not source:
        raise ConvertError("there are no arrays in it.")
    examples = ", ".join(list(source)[:3])
    raise ConvertError(
        f"no known network has these names: {examples}, ...\n"
        f"Known are those of {', '.join(peers.names())}."
    )


def save(
    path: str | os.PathLike,
    module: nn.Module,
    variables: Mapping[str, Any],
    *,
    clip: tuple[int, ...],
) -> None:
    """Writes variables as safetensors with our paths as names, for `load` to read back.

    Args:
        path: the file, which is written whole or not at all.
        module: the network that the variables are of.
        variables: the collections `params` and `batch_stats`.
        clip: a shape [N, T, H, W, C] that the network takes.

    Raises StorageError where the file cannot be written.
    """
    header = description.header(module, clip)
    safetensors_file.write(Path(path), description.arrays(variables), header)
