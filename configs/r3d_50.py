"""R3D of Hara et al., 50 layers: 3x3x3 kernels throughout, a stem over seven frames, and a max pool behind it.

Hara et al., Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018.

    python launch.py --config configs/r3d_50.py                                 10 narrow layers on the built-in set
    python launch.py --config configs/r3d_50.py:jester --config.data.root=DIR   16 frames of 112 on Jester, on a GPU

Other variants: r3d_18_hara and r3d_34_hara, of two convolutions a block; r3d_101_hara, r3d_152_hara and r3d_200_hara.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d_50"
    config.model.variant = "r3d_50_hara"
    if not preset:
        config.model.variant = "r3d_10_hara"
        config.model.width = 0.25
    return config
