"""Fusion over time of a 2D network's frames: single frame, early, late and slow, at one or two resolutions.

Karpathy et al., Large-scale Video Classification with Convolutional Neural Networks, CVPR 2014; `jester` has the sizes
and the optimiser of the paper. Ten frames for early and slow fusion, 16 for late (--config.data.num_frames=16).

    python launch.py --config configs/fusion.py                                       slow_fusion, on a laptop
    python launch.py --config configs/fusion.py --config.model.variant=single_frame   early_fusion, late_fusion
    python launch.py --config configs/fusion.py --config.model.variant=slow_fusion_multires  and so with the others
    python launch.py --config configs/fusion.py:jester --config.data.root=DIR         Jester, on a GPU
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "fusion"
    config.model.variant = "slow_fusion"
    common.add_fields(
        config, hidden_dropout=0.5
    )  # behind the wide layers; that of the head would come on top
    config.head.dropout = 0.0
    config.data.num_frames = 10
    if preset:
        config.batch_size = 32
        config.data.size = 170
        config.data.resize = 200
        config.optim.name = "sgd"
        config.optim.learning_rate = 1e-3
        config.optim.weight_decay = 5e-3  # decoupled: 5e-4 / (1 - momentum)
    else:
        config.model.width = 0.25
        config.optim.learning_rate = 1e-3
    return config
