"""SlowFast: a slow pathway with many channels on few frames, a fast one with few channels on all.

Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019.

    # the built-in set, on a laptop
    python launch.py --config configs/slowfast.py
    # Jester, on a GPU
    python launch.py --config configs/slowfast.py:jester --config.data.root=DIR

The paper's other networks: --config.model.variant=slowfast_r50_4x16, slowfast_r101_8x8, or
slowfast_r101_16x8 with --config.data.num_frames=64. Frames are those of the fast pathway; the slow
one sees one in alpha of them, alpha being the variant's. On a laptop data.num_frames=8 takes half
the time.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "slowfast"
    config.model.variant = "slowfast_r50_8x8"
    config.data.num_frames = 32
    config.head.dropout = 0.5


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.variant = "slowfast_r14"
    config.model.width = 0.25
    config.data.num_frames = 16
    config.head.dropout = 0.0
