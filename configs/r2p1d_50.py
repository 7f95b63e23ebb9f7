"""R(2+1)D with bottlenecks, 50 layers: a convolution in time, then one in space.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018; the
form of pytorchvideo, which keeps the inner width. The paper's with 18 and 34 layers is
configs/r2p1d.py.

    # a narrow one on the built-in set
    python launch.py --config configs/r2p1d_50.py
    # 16 frames of 224 on Jester, on a GPU
    python launch.py --config configs/r2p1d_50.py:jester --config.data.root=DIR

Deeper: --config.model.variant=r2plus1d_r101.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d_50"
    config.model.variant = "r2plus1d_r50"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.data.num_frames = 16
    base.pixels_224(config)
    config.head.dropout = 0.5
