"""A label for every pixel of every frame: where is the hand? R(2+1)D with a feature pyramid.

    # the built-in set, on a laptop
    python launch.py --config configs/segmentation.py
    # the last map alone, interpolated, instead of the pyramid over all levels
    python launch.py --config configs/segmentation.py --config.head.num_levels=1

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
    config.task.name = "segmentation"
    config.loss.label_smoothing = 0.0


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "r2plus1d_10"
    config.model.width = 0.25
    config.head.channels = 32
    config.data.gestures.labels = "masks"
