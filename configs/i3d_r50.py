"""I3D on a ResNet-50: every other block reaches over three frames, the stem over five.

Wang et al., Non-local Neural Networks, CVPR 2018, section 3.2 (I3D 3x1x1); the Inception one is configs/i3d.py.

    python launch.py --config configs/i3d_r50.py                                 a narrow one on the built-in set
    python launch.py --config configs/i3d_r50.py:jester --config.data.root=DIR   8 frames of 224 on Jester, on a GPU

Deeper: --config.model.variant=i3d_r101.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d_50"
    config.model.variant = "i3d_r50"
    if preset:
        config.data.num_frames = 8
        config.data.size = 224
        config.data.resize = 256
        config.head.dropout = 0.5
    else:
        config.model.width = 0.25
    return config
