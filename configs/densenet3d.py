"""DenseNet over clips: each layer reads what all layers of its block before it have written.

Huang et al., Densely Connected Convolutional Networks, CVPR 2017; Hara et al., Can Spatiotemporal
3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018.

    # 29 narrow layers on the built-in set
    python launch.py --config configs/densenet3d.py
    # 121 layers on 16 frames of 112 on Jester, on a GPU
    python launch.py --config configs/densenet3d.py:jester --config.data.root=DIR

Other variants: densenet_169, densenet_201, densenet_264. --config.model.growth is what each layer
adds.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "densenet3d"
    config.model.variant = "densenet_121"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "densenet_29"
    config.model.width = 0.5


def gpu(config):
    """The recipe for a GPU."""
    config.batch_size = 32  # every layer's concatenated input is kept for the backward pass
