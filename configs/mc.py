"""Mixed convolutions: 3D kernels first and 2D ones behind (MCx), or the reverse (rMCx).

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, section
3.3.

    # mc3_18 on the built-in set, on a laptop
    python launch.py --config configs/mc.py
    # mc2_18 to mc5_18, rmc2_18 to rmc5_18
    python launch.py --config configs/mc.py --config.model.variant=rmc4_18
    # Jester, on a GPU
    python launch.py --config configs/mc.py:jester --config.data.root=DIR
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d"
    config.model.variant = "mc3_18"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25
