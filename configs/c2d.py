"""C2D: a 2D ResNet-50 on every frame, which pools over time behind stage 1 and at the end.

Wang et al., Non-local Neural Networks, CVPR 2018, table 1.

    # a narrow one on the built-in set
    python launch.py --config configs/c2d.py
    # 8 frames of 224 on Jester, on a GPU
    python launch.py --config configs/c2d.py:jester --config.data.root=DIR

Nearly blind to the order of frames: what it misses on gestures is what kernels over time are for.
Deeper: c2d_r101.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d_50"
    config.model.variant = "c2d_r50"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.data.num_frames = 8
    base.pixels_224(config)
    config.head.dropout = 0.5
