"""R2D, 18 layers: the frames of a clip as channels of one image, so that time ends at the first layer.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, section 3.1. `fr2d_18`
keeps the frames apart to the end and averages over them (section 3.2): it cannot tell an order.

    python launch.py --config configs/r2d.py                                     the built-in set, on a laptop
    python launch.py --config configs/r2d.py --config.model.variant=fr2d_18
    python launch.py --config configs/r2d.py:jester --config.data.root=DIR       Jester, on a GPU
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d"
    config.model.variant = "r2d_18"
    if not preset:
        config.model.width = 0.25
    return config
