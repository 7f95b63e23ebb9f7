"""The inference contract: all that the use of a trained network needs besides its arrays.

It is saved with every checkpoint, so that the folder of a checkpoint can be carried elsewhere.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from vidjax import models
from vidjax.core.machine import installed_version
from vidjax.data import flow
from vidjax.experiment.assembly import FLOW_MEAN, FLOW_STD, Experiment

VERSION = 1  # of this contract; a reader refuses a newer one
DECODER = ("tensorflow-cpu", "tensorflow")  # packages: the CPU build has a name of its own


def checksum(contract: Mapping[str, Any]) -> int:
    """CRC-32 of a contract, whether it is just made or read from its file."""
    return zlib.crc32(json.dumps(contract, sort_keys=True).encode())


def contract(experiment: Experiment) -> dict[str, Any]:
    """The contract of an experiment, JSON-ready."""
    clips, data, source = experiment.clips, experiment.config.data, experiment.source
    about = {
        "version": VERSION,
        "task": experiment.task.name,
        "classes": list(experiment.task.classes),
        "network": models.describe(experiment.module),
        "clip": {
            "frames_per_second": source.frames_per_second if source else None,
            "num_frames": clips.num_frames,
            "sampling": clips.sampling,
            "stride": clips.stride,
            "short": clips.short,
            "size": clips.size,
            "resize": clips.resize,
            "crop": "centre",
        },
        "normalise": {"mean": list(data.mean), "std": list(data.std)},
        "decoder": {"name": "tensorflow", "version": installed_version(*DECODER)},
    }
    if experiment.flow is not None:
        about["flow"] = {
            "method": "DIS, medium preset, on grey frames",
            "limit": flow.LIMIT,  # pixels of the source that 127 steps stand for
            "zero": flow.ZERO,
            "num_fields": experiment.flow.num_fields,
            "mean": list(FLOW_MEAN),
            "std": list(FLOW_STD),
        }
    if experiment.reads_arrays:
        # The clip above is not what the network takes: this says what made the arrays of it.
        about["features"] = {**source.index, "clip_shape": list(source.clip_shape)}
    return about
