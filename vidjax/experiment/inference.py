"""The inference contract: all that the use of a trained network needs besides its arrays.

It is saved with every checkpoint, so that the folder of a checkpoint can be carried elsewhere.
"""

from importlib import metadata
from typing import Any

from vidjax import models
from vidjax.experiment.assembly import Experiment

VERSION = 1  # of this contract; a reader refuses a newer one


def contract(experiment: Experiment) -> dict[str, Any]:
    """The contract of an experiment, JSON-ready."""
    clips, data, source = experiment.clips, experiment.config.data, experiment.source
    return {
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
        "decoder": {"name": "tensorflow", "version": decoder_version()},
    }


def decoder_version() -> str:
    """The version of the library that decodes images, '' where it is not installed."""
    # The CPU build has another name, and nothing is imported to find this out.
    for package in ("tensorflow-cpu", "tensorflow"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ""
