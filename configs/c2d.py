"""C2D: a 2D ResNet-50 on every frame, whose only steps over time are a pool behind stage 1 and the last average.

Wang et al., Non-local Neural Networks, CVPR 2018, table 1.

    python launch.py --config configs/c2d.py                                 a narrow one on the built-in set
    python launch.py --config configs/c2d.py:jester --config.data.root=DIR   8 frames of 224 on Jester, on a GPU

Nearly blind to the order of frames: what it misses on gestures is what kernels over time are for. Deeper: c2d_r101.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d_50"
    config.model.variant = "c2d_r50"
    if preset:
        config.data.num_frames = 8
        config.data.size = 224
        config.data.resize = 256
        config.head.dropout = 0.5
    else:
        config.model.width = 0.25
    return config
