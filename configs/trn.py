"""TRN: a 2D network on eight frames, then relations between ordered tuples of them.

Zhou et al., Temporal Relational Reasoning in Videos, ECCV 2018.

    # multi-scale on ResNet-18, on a laptop
    python launch.py --config configs/trn.py
    # multi-scale on ResNet-50 on Jester, on a GPU
    python launch.py --config configs/trn.py:jester --config.data.root=DIR

One relation of all eight frames: --config.model.variant=trn_r50, or --config.head.scales=8.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "trn"
    config.model.variant = "trn_ms_r18"
    config.head.name = ""  # the variant's own
    config.data.num_frames = 8


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.model.variant = "trn_ms_r50"
    config.head.dropout = 0.5
    base.pixels_224(config)
    base.imagenet_colours(config)
