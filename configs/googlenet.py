"""GoogLeNet and BN-Inception for images, frame by frame, answers averaged.

Szegedy et al., Going Deeper with Convolutions, CVPR 2015; Ioffe and Szegedy, Batch Normalization,
ICML 2015; Wang et al., Temporal Segment Networks, ECCV 2016.

    # the built-in set, on a laptop
    python launch.py --config configs/googlenet.py
    # Jester, on a GPU
    python launch.py --config configs/googlenet.py:jester --config.data.root=DIR

--config.model.variant=bn_inception is the network of the first temporal segment networks.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "googlenet"
    config.model.variant = "googlenet"
    config.data.num_frames = 8


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.head.dropout = 0.5
    base.pixels_224(config)
    # the colours of torchvision's weights
    config.data.mean = (0.5, 0.5, 0.5)
    config.data.std = (0.5, 0.5, 0.5)
