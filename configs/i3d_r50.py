"""I3D on a ResNet-50: every other block covers three frames, the stem five.

Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2 (I3D 3x1x1); the Inception one is
configs/i3d.py.

    # a narrow one on the built-in set
    python launch.py --config configs/i3d_r50.py
    # 8 frames of 224 on Jester, on a GPU
    python launch.py --config configs/i3d_r50.py:jester --config.data.root=DIR

Deeper: --config.model.variant=i3d_r101.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d_50"
    config.model.variant = "i3d_r50"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.data.num_frames = 8
    base.pixels_224(config)
    config.head.dropout = 0.5
