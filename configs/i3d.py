"""I3D: Inception-v1 with its kernels inflated to three dimensions.

Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR
2017.

    # the built-in set, on a laptop
    python launch.py --config configs/i3d.py
    # Jester, on a GPU
    python launch.py --config configs/i3d.py:jester --config.data.root=DIR

The variant i3d_inception_flow is the network for optical flow: its clips have two channels, so it
takes none of these data sets as they are.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "i3d"
    config.model.variant = "i3d_inception"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.head.dropout = 0.5  # the paper's
