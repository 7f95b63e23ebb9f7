"""Our own variables as a flat table for safetensors: `params/backbone/stem/conv/kernel`, and what they are of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax
import numpy as np
import safetensors

from vidjax import models
from vidjax.core.errors import ConvertError

METADATA = "vidjax"  # the key of a safetensors header under which the network is described


def names(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Path with slashes -> array."""
    flat = flax.traverse_util.flatten_dict(dict(variables), sep="/")
    return {name: np.asarray(array, np.float32) for name, array in flat.items()}


def header(module: models.Classifier, clip: tuple[int, ...]) -> dict[str, str]:
    """The metadata that lets `network` build the same classifier again; `clip` [N, T, H, W, C] is one that it takes."""
    name, variant, fields = models.identify(module)
    about = {
        "model": name,
        "variant": variant,
        "fields": fields,
        "num_classes": module.head.num_classes,
        "clip": clip,
    }
    return {METADATA: json.dumps(about)}


def read_header(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; {} for any other file."""
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            return file.metadata() or {}
    except (OSError, safetensors.SafetensorError):
        return {}


def network(about: Mapping[str, str]) -> tuple[models.Classifier, tuple[int, ...]]:
    """The classifier that a header describes, and a clip that it takes. Raises ConvertError."""
    try:
        row = json.loads(about[METADATA])
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in row["fields"].items()}
        module = models.build(
            row["model"], variant=row["variant"], num_classes=int(row["num_classes"]), **fields
        )
        return module, tuple(int(size) for size in row["clip"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConvertError(
            f"the header of this file describes no network of vidjax: {error}."
        ) from error
