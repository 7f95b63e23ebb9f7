"""R3D, 18 layers: a residual network with 3x3x3 kernels throughout.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018; Hara et
al., CVPR 2018.

    # the built-in set, on a laptop
    python launch.py --config configs/r3d.py
    # Jester, on a GPU
    python launch.py --config configs/r3d.py:jester --config.data.root=DIR
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d"
    config.model.variant = "r3d_18"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "r3d_10"
    config.model.width = 0.25
