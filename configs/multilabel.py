"""Attributes of a gesture, each asked by itself: which shape the hand has, which way it moves.

The task multilabel on a narrow R(2+1)D of ten layers. In the built-in set each clip has two of the
attributes.

    python launch.py --config configs/multilabel.py  # the built-in set, on a laptop

Any network: --config configs/tsm.py --config.task.name=multilabel
--config.loss.name=binary_cross_entropy --config.data.gestures.labels=attributes
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and the task."""
    config.model.name = "resnet3d"
    config.model.variant = "r2plus1d_18"
    config.task.name = "multilabel"
    config.loss.name = "binary_cross_entropy"
    config.loss.label_smoothing = 0.0


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "r2plus1d_10"
    config.model.width = 0.25
    config.data.gestures.labels = "attributes"
