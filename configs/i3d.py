"""I3D: Inception-v1 with its kernels inflated to three dimensions.

Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR 2017.

    python launch.py --config configs/i3d.py                                     the built-in set, on a laptop
    python launch.py --config configs/i3d.py:jester --config.data.root=DIR       Jester, on a GPU

The variant i3d_inception_flow is the network for optical flow: its clips have two channels, so it takes none of these
data sets as they are.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "i3d"
    config.model.variant = "i3d_inception"
    if not preset:
        config.model.width = 0.25
    else:
        config.head.dropout = 0.5  # the paper's
    return config
