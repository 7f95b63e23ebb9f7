"""C3D: eight 3x3x3 convolutions and two layers of 4096; a narrow one with BatchNorm on a laptop.

Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, whose
training from scratch `jester` follows: SGD at 0.003 for 30 clips a step, a tenth of it every
quarter of 16 passes.

    # c3d_bn on the built-in set, on a laptop
    python launch.py --config configs/c3d.py
    # c3d on Jester, on a GPU
    python launch.py --config configs/c3d.py:jester --config.data.root=DIR

With batch normalisation: --config.model.variant=c3d_bn.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "c3d"
    config.model.variant = "c3d"
    config.head.dropout = 0.0


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "c3d_bn"
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.num_epochs = 16.0
    config.optim.name = "sgd"
    config.optim.learning_rate = 0.003
    config.optim.reference_batch = 30
    config.optim.weight_decay = 5e-3  # decoupled: 5e-4 / (1 - momentum)
    config.schedule.name = "step"
    config.schedule.boundaries = (0.25, 0.5, 0.75)
