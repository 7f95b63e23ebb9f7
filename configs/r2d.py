"""R2D, 18 layers: the frames of a clip are channels of one image; time ends at the first layer.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, section
3.1. `fr2d_18` keeps the frames apart to the end and averages over them (section 3.2): it cannot
tell an order.

    # the built-in set, on a laptop
    python launch.py --config configs/r2d.py
    python launch.py --config configs/r2d.py --config.model.variant=fr2d_18
    # Jester, on a GPU
    python launch.py --config configs/r2d.py:jester --config.data.root=DIR
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d"
    config.model.variant = "r2d_18"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25
