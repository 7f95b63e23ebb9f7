"""Slow: a 2D ResNet-50 on frames far apart, with kernels over time in its last two stages only.

Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019: the slow pathway alone.

    # a narrow one on the built-in set
    python launch.py --config configs/slow.py
    # 8 frames of 224 on Jester, on a GPU
    python launch.py --config configs/slow.py:jester --config.data.root=DIR

Slow 4x16 and 8x8 are this network with data.num_frames of 4 or 8 and data.sampling=window,
data.stride=16 or 8; deeper: --config.model.variant=slow_r101.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d_50"
    config.model.variant = "slow_r50"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.data.num_frames = 8
    base.pixels_224(config)
    config.head.dropout = 0.5
