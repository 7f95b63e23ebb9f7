"""Temporal shift: a 2D network whose blocks take some channels from the frames around.

Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019.

    # tsm_r18_8f, the built-in set, on a laptop
    python launch.py --config configs/tsm.py
    # tsm_r50_8f on Jester, on a GPU
    python launch.py --config configs/tsm.py:jester --config.data.root=DIR

Other variants: --config.model.variant=tsm_mobilenet_v2_8f, tsm_r101_8f. Any of them takes 16
frames: --config.data.num_frames=16. For streams (docs/streams.md): --config.model.causal=true.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "tsm"
    config.model.variant = "tsm_r18_8f"
    config.data.num_frames = 8


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.model.variant = "tsm_r50_8f"
    config.head.dropout = 0.5
    base.pixels_224(config)
    base.imagenet_colours(config)
