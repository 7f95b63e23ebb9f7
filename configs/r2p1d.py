"""R(2+1)D, 18 layers: each 3D convolution cut into one in space and one in time.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018.

    # the built-in set, 10 layers, on a laptop
    python launch.py --config configs/r2p1d.py
    # Jester, 18 layers, on a GPU
    python launch.py --config configs/r2p1d.py:jester --config.data.root=DIR

Other variants of the family: --config.model.variant=r2plus1d_34, or fr2d_10: the same recipe
without kernels in time.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d"
    config.model.variant = "r2plus1d_18"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "r2plus1d_10"
    config.model.width = 0.25
