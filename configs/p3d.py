"""P3D: residual networks whose 3x3x3 kernels are a 1x3x3 and a 3x1x1, in three arrangements.

Qiu et al., Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks, ICCV 2017.

    # a narrow p3d_17 on the built-in set
    python launch.py --config configs/p3d.py
    # p3d_199 on Jester, on a GPU
    python launch.py --config configs/p3d.py:jester --config.data.root=DIR

Variants: p3d_17, p3d_63, p3d_131, p3d_199. Time halves four times: 16 frames become one, 8 do a
stage earlier.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "p3d"
    config.model.variant = "p3d_199"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "p3d_17"
    config.model.width = 0.5


def gpu(config):
    """The recipe for a GPU."""
    config.data.size = 160
    config.data.resize = 182
