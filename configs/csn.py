"""CSN: channel-separated networks, whose 3x3x3 kernels see one channel each; ir-CSN-101.

Tran et al., Video Classification with Channel-Separated Convolutional Networks, ICCV 2019.

    # 14 narrow layers on the built-in set
    python launch.py --config configs/csn.py
    # 32 frames of 224 on Jester, on a GPU
    python launch.py --config configs/csn.py:jester --config.data.root=DIR

Other variants: csn_r50 and csn_r152, and with the channels mixed once more in each block
csn_ip_r50, csn_ip_r101 and csn_ip_r152.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "csn"
    config.model.variant = "csn_r101"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "csn_r14"
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.data.num_frames = 32
    base.pixels_224(config)
    config.head.dropout = 0.5
