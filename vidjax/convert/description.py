"""Our own weight files: safetensors with our paths as names and the network in the header.

The header has the key "vidjax", whose value is JSON: the description of the network
(`models.describe`) and the size of a clip that it takes.
"""

import json
from collections.abc import Mapping
from typing import Any

import flax
import numpy as np

from vidjax import models
from vidjax.core.errors import ConvertError, UserError

KEY = "vidjax"  # of a safetensors header


def arrays(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Variables as a flat table: "params/backbone/stem/conv/kernel" -> float32 array."""
    flat = flax.traverse_util.flatten_dict(dict(variables), sep="/")
    return {path: np.asarray(array, np.float32) for path, array in flat.items()}


def header(module: models.Classifier, clip: tuple[int, ...]) -> dict[str, str]:
    """The header of a file with this network's weights; `clip` [N, T, H, W, C] is one it takes."""
    return {KEY: json.dumps({"network": models.describe(module), "clip": clip})}


def read_header(
    metadata: Mapping[str, str],
) -> tuple[models.Classifier, tuple[int, ...]]:
    """The network that a header describes, and a clip [N, T, H, W, C] that it takes.

    Raises ConvertError for a header that was damaged, or describes no network.
    """
    try:
        content = json.loads(metadata[KEY])
        clip = tuple(int(size) for size in content["clip"])
        network = content["network"]
    # Only the JSON of the file can raise these: no code of a network runs above.
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ConvertError(
            f"the header of this file describes no network of vidjax: {error!r}."
        ) from error
    if len(clip) != 5 or min(clip) < 1:
        raise ConvertError("the header of this file has no size of a clip [N, T, H, W, C].")
    return from_description(network), clip


def from_description(network: Any) -> models.Classifier:
    """The network that a header describes. Raises ConvertError where it describes none."""
    if not isinstance(network, Mapping):
        raise ConvertError("the header of this file describes no network of vidjax.")
    # Names that this version does not know are the file's fault; any other error is ours.
    try:
        return models.from_description(network)
    except UserError as error:
        raise ConvertError(
            f"the header of this file describes no network of vidjax: {error}"
        ) from error
