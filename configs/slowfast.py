"""SlowFast: a slow pathway with many channels on every fourth frame, a fast one with few on all, and links between.

Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019.

    python launch.py --config configs/slowfast.py                                   the built-in set, on a laptop
    python launch.py --config configs/slowfast.py:jester --config.data.root=DIR     Jester, on a GPU

The paper's other networks: --config.model.variant=slowfast_r50_4x16, slowfast_r101_8x8, or slowfast_r101_16x8 with
--config.data.num_frames=64. Frames are those of the fast pathway; the slow one sees one in alpha of them, alpha being
the variant's. On a laptop data.num_frames=8 takes half the time.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "slowfast"
    config.model.variant = "slowfast_r50_8x8"
    common.add_fields(config, beta=0.125)  # channels of the fast pathway over those of the slow one
    config.data.num_frames = 32
    config.head.dropout = 0.5
    if not preset:
        config.model.variant = "slowfast_r14"
        config.model.width = 0.25
        config.data.num_frames = 16
        config.head.dropout = 0.0
    return config
