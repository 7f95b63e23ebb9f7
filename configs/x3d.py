"""X3D: a small network expanded an axis at a time, with depthwise 3x3x3 kernels and gates over channels.

Feichtenhofer, X3D: Expanding Architectures for Efficient Video Recognition, CVPR 2020.

    python launch.py --config configs/x3d.py                                     a narrow x2d on the built-in set
    python launch.py --config configs/x3d.py:jester --config.data.root=DIR       x3d_s on Jester, on a GPU

Variants: x2d, where the expansion starts, x3d_xs (4x160x160), x3d_s (13x160x160), x3d_m (16x224x224) and x3d_l
(16x312x312): set data.num_frames and data.size along with model.variant. model.width_factor scales on: x3d_l with 2.9
is the paper's XL.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "x3d"
    config.model.variant = "x3d_s"
    common.add_fields(config, width_factor=2.0, squeeze_ratio=0.0625)
    if preset:
        config.data.num_frames = 13
        config.data.size = 160
        config.data.resize = 182
        config.head.dropout = 0.5
    else:
        config.model.variant = "x2d"
        config.model.width = 0.5
    return config
