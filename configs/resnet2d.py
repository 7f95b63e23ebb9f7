"""ResNets for images, frame by frame, answers averaged: what frames tell without their order.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016; Wang et al., Temporal Segment
Networks, ECCV 2016.

    # the built-in set, on a laptop
    python launch.py --config configs/resnet2d.py
    # resnet50 on Jester, on a GPU
    python launch.py --config configs/resnet2d.py:jester --config.data.root=DIR

Other variants: --config.model.variant=resnet34, resnet101.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet2d"
    config.model.variant = "resnet18"
    config.data.num_frames = 8


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.model.variant = "resnet50"
    config.head.dropout = 0.5
    base.pixels_224(config)
    base.imagenet_colours(config)
