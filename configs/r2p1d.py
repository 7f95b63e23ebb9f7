"""R(2+1)D, 18 layers: each 3D convolution cut into one in space and one in time.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018.

    python launch.py --config configs/r2p1d.py                                 the built-in set, 10 layers, on a laptop
    python launch.py --config configs/r2p1d.py:jester --config.data.root=DIR   Jester, 18 layers, on a GPU

Other variants of the family: --config.model.variant=r2plus1d_34, or fr2d_10: the same recipe without kernels in time.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet3d"
    config.model.variant = "r2plus1d_18"
    common.add_fields(config, midplanes="")  # paper or torchvision; "": the variant's own
    if not preset:
        config.model.variant = "r2plus1d_10"
        config.model.width = 0.25
    return config
