"""R(2+1)D with bottlenecks, 50 layers: the 3x3x3 convolution cut into one in time, then one in space.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018; the form of pytorchvideo,
which keeps the inner width. The paper's with 18 and 34 layers is configs/r2p1d.py.

    python launch.py --config configs/r2p1d_50.py                                 a narrow one on the built-in set
    python launch.py --config configs/r2p1d_50.py:jester --config.data.root=DIR   16 frames of 224 on Jester, on a GPU

Deeper: --config.model.variant=r2plus1d_r101.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d_50"
    config.model.variant = "r2plus1d_r50"
    if preset:
        config.data.num_frames = 16
        config.data.size = 224
        config.data.resize = 256
        config.head.dropout = 0.5
    else:
        config.model.width = 0.25
    return config
