"""Fusion over time of a 2D network's frames: single frame, early, late, slow; one or two sizes.

Karpathy et al., Large-scale Video Classification with Convolutional Neural Networks, CVPR 2014;
`jester` has the sizes and the optimiser of the paper. Ten frames for early and slow fusion, 16 for
late (--config.data.num_frames=16).

    # slow_fusion, on a laptop
    python launch.py --config configs/fusion.py
    # the same with single_frame, early_fusion or late_fusion
    python launch.py --config configs/fusion.py --config.model.variant=single_frame
    # two resolutions: any of the four with _multires
    python launch.py --config configs/fusion.py --config.model.variant=slow_fusion_multires
    # Jester, on a GPU
    python launch.py --config configs/fusion.py:jester --config.data.root=DIR
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "fusion"
    config.model.variant = "slow_fusion"
    config.head.dropout = 0.0
    config.data.num_frames = 10


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25
    config.optim.learning_rate = 1e-3


def gpu(config):
    """The recipe for a GPU."""
    config.batch_size = 32
    config.data.size = 170
    config.data.resize = 200
    config.optim.name = "sgd"
    config.optim.learning_rate = 1e-3
    config.optim.weight_decay = 5e-3  # decoupled: 5e-4 / (1 - momentum)
