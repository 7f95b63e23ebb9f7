"""R3D of Hara et al., 50 layers: 3x3x3 kernels, a stem over seven frames, then a max pool.

Hara et al., Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018.

    # 10 narrow layers on the built-in set
    python launch.py --config configs/r3d_50.py
    # 16 frames of 112 on Jester, on a GPU
    python launch.py --config configs/r3d_50.py:jester --config.data.root=DIR

Other variants: r3d_18_hara and r3d_34_hara, of two convolutions a block; r3d_101_hara, r3d_152_hara
and r3d_200_hara; resnext_50 and resnext_101, with 32 groups; wide_resnet_50.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "resnet3d_50"
    config.model.variant = "r3d_50_hara"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "r3d_10_hara"
    config.model.width = 0.25
