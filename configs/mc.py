"""Mixed convolutions: 3D kernels in the first layers and 2D ones behind (MCx), or the reverse (rMCx), 18 layers.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, section 3.3.

    python launch.py --config configs/mc.py                                      mc3_18 on the built-in set, on a laptop
    python launch.py --config configs/mc.py --config.model.variant=rmc4_18       mc2_18 to mc5_18, rmc2_18 to rmc5_18
    python launch.py --config configs/mc.py:jester --config.data.root=DIR        Jester, on a GPU
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d"
    config.model.variant = "mc3_18"
    if not preset:
        config.model.width = 0.25
    return config
