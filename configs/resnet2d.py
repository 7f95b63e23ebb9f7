"""ResNets for images, frame by frame, the answers averaged: what a clip's frames tell without their order.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016; Wang et al., Temporal Segment Networks, ECCV 2016.

    python launch.py --config configs/resnet2d.py                                  the built-in set, on a laptop
    python launch.py --config configs/resnet2d.py:jester --config.data.root=DIR    resnet50 on Jester, on a GPU

Other variants: --config.model.variant=resnet34, resnet101.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "resnet2d"
    config.model.variant = "resnet18"
    config.data.num_frames = 8
    if preset:
        config.model.variant = "resnet50"
        config.head.dropout = 0.5
        config.data.size = 224
        config.data.resize = 256
        config.data.mean = (0.485, 0.456, 0.406)  # ImageNet's, for weights trained there
        config.data.std = (0.229, 0.224, 0.225)
    else:
        config.model.width = 0.25
    return config
