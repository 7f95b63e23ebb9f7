"""P3D: residual networks whose 3x3x3 kernels are a 1x3x3 and a 3x1x1, put together in three ways that take turns.

Qiu et al., Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks, ICCV 2017.

    python launch.py --config configs/p3d.py                                     a narrow p3d_17 on the built-in set
    python launch.py --config configs/p3d.py:jester --config.data.root=DIR       p3d_199 on Jester, on a GPU

Variants: p3d_17, p3d_63, p3d_131, p3d_199. Time halves four times: 16 frames become one, 8 do a stage earlier.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "p3d"
    config.model.variant = "p3d_199"
    if preset:
        config.data.size = 160
        config.data.resize = 182
    else:
        config.model.variant = "p3d_17"
        config.model.width = 0.5
    return config
