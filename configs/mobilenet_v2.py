"""MobileNetV2, frame by frame, the answers averaged: the lightest network for images here.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.

    python launch.py --config configs/mobilenet_v2.py                                  width 0.35, on a laptop
    python launch.py --config configs/mobilenet_v2.py:jester --config.data.root=DIR    width 1 on Jester, on a GPU

Other widths: model.width, or Keras's networks by --config.model.variant=mobilenet_v2_035, _050, _075, _130, _140 and
mobilenet_v2_keras. Weights from Keras expect pixels from -1 to 1: data.mean and data.std of 0.5.
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "mobilenet_v2"
    config.model.variant = "mobilenet_v2"
    common.add_fields(config, padding="")  # half or SAME (TensorFlow's); "": the variant's own
    config.data.num_frames = 8
    if preset:
        config.data.size = 224
        config.data.resize = 256
        config.data.mean = (0.485, 0.456, 0.406)  # ImageNet's, for weights trained there
        config.data.std = (0.229, 0.224, 0.225)
    else:
        config.model.width = 0.35
    return config
