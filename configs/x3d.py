"""X3D: a small network expanded axis by axis, with depthwise 3x3x3 kernels and gates on channels.

Feichtenhofer, X3D: Expanding Architectures for Efficient Video Recognition, CVPR 2020.

    # a narrow x2d on the built-in set
    python launch.py --config configs/x3d.py
    # x3d_s on Jester, on a GPU
    python launch.py --config configs/x3d.py:jester --config.data.root=DIR

Variants: x2d, where the expansion starts, x3d_xs (4x160x160), x3d_s (13x160x160), x3d_m
(16x224x224) and x3d_l (16x312x312): set data.num_frames and data.size along with model.variant.
model.width_factor scales on: x3d_l with 2.9 is the paper's XL.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "x3d"
    config.model.variant = "x3d_s"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "x2d"
    config.model.width = 0.5


def gpu(config):
    """The recipe for a GPU."""
    config.data.num_frames = 13
    config.data.size = 160
    config.data.resize = 182
    config.head.dropout = 0.5
