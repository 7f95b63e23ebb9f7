"""Boxes over time: where is each hand, and where does it go? R(2+1)D with a feature pyramid.

The boxes are drawn into a map of classes, which the network learns; tubes are read off its answer.

    python launch.py --config configs/detection.py  # the built-in set, on a laptop

Any network with positions in space takes the head `dense`: docs/heads.md.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network, the head and the task."""
    config.model.name = "resnet3d"
    config.model.variant = "r2plus1d_18"
    config.head.name = "dense"
    config.task.name = "detection"
    config.loss.label_smoothing = 0.0


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "r2plus1d_10"
    config.model.width = 0.25
    config.head.channels = 32
    config.data.gestures.labels = "boxes"
