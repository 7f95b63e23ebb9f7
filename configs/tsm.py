"""Temporal shift: a 2D network whose blocks take some channels from the frame before, and some from that after.

Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019.

    python launch.py --config configs/tsm.py                                  tsm_r18_8f, the built-in set, on a laptop
    python launch.py --config configs/tsm.py:jester --config.data.root=DIR    tsm_r50_8f on Jester, on a GPU

Other variants: --config.model.variant=tsm_mobilenet_v2_8f, tsm_r101_8f. Any of them takes 16 frames:
--config.data.num_frames=16. For streams: --config.model.direction=one-directional.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "tsm"
    config.model.variant = "tsm_r18_8f"
    common.add_fields(
        config,
        fraction=0.125,  # of the channels, each way
        shift="residual",  # where: residual (in the branch), in-place (in the shortcut, too)
        direction="bidirectional",  # or one-directional: from the past only
    )
    config.data.num_frames = 8
    if preset:
        config.model.variant = "tsm_r50_8f"
        config.head.dropout = 0.5
        config.data.size = 224
        config.data.resize = 256
        config.data.mean = (0.485, 0.456, 0.406)  # ImageNet's, for weights trained there
        config.data.std = (0.229, 0.224, 0.225)
    else:
        config.model.width = 0.25
    return config
