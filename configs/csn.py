"""CSN: channel-separated networks, whose 3x3x3 kernels see one channel each; ir-CSN-101.

Tran et al., Video Classification with Channel-Separated Convolutional Networks, ICCV 2019.

    python launch.py --config configs/csn.py                                 14 narrow layers on the built-in set
    python launch.py --config configs/csn.py:jester --config.data.root=DIR   32 frames of 224 on Jester, on a GPU

Other variants: csn_r50 and csn_r152, and with the channels mixed once more in each block csn_ip_r50, csn_ip_r101 and
csn_ip_r152.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "csn"
    config.model.variant = "csn_r101"
    if preset:
        config.data.num_frames = 32
        config.data.size = 224
        config.data.resize = 256
        config.head.dropout = 0.5
    else:
        config.model.variant = "csn_r14"
        config.model.width = 0.25
    return config
