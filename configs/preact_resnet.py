"""Pre-activation ResNet over clips: normalisation and activation ahead of each convolution.

He et al., Identity Mappings in Deep Residual Networks, ECCV 2016; Hara et al., Can Spatiotemporal
3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018.

    # 10 narrow layers on the built-in set
    python launch.py --config configs/preact_resnet.py
    # 50 layers on 16 frames of 112 on Jester, on a GPU
    python launch.py --config configs/preact_resnet.py:jester --config.data.root=DIR

Other variants: preact_resnet_18 and preact_resnet_34, of two convolutions a block;
preact_resnet_101, preact_resnet_152 and preact_resnet_200.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "preact_resnet"
    config.model.variant = "preact_resnet_50"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "preact_resnet_10"
    config.model.width = 0.25
