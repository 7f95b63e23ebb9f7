"""R3D, 18 layers: a residual network with 3x3x3 kernels throughout.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018; Hara et al., CVPR 2018.

    python launch.py --config configs/r3d.py                                     the built-in set, on a laptop
    python launch.py --config configs/r3d.py:jester --config.data.root=DIR       Jester, on a GPU
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d"
    config.model.variant = "r3d_18"
    if not preset:
        config.model.variant = "r3d_10"
        config.model.width = 0.25
    return config
