"""Slow: a 2D ResNet-50 on frames far apart, with kernels over time in its last two stages only.

Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019: the slow pathway alone.

    python launch.py --config configs/slow.py                                 a narrow one on the built-in set
    python launch.py --config configs/slow.py:jester --config.data.root=DIR   8 frames of 224 on Jester, on a GPU

Slow 4x16 and 8x8 are this network with data.num_frames of 4 or 8 and data.sampling=window, data.stride=16 or 8; deeper:
--config.model.variant=slow_r101.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d_50"
    config.model.variant = "slow_r50"
    if preset:
        config.data.num_frames = 8
        config.data.size = 224
        config.data.resize = 256
        config.head.dropout = 0.5
    else:
        config.model.width = 0.25
    return config
