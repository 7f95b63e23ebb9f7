"""MobileNetV2, frame by frame, the answers averaged: the lightest network for images here.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.

    # width 0.35, on a laptop
    python launch.py --config configs/mobilenet_v2.py
    # width 1 on Jester, on a GPU
    python launch.py --config configs/mobilenet_v2.py:jester --config.data.root=DIR

Other widths: model.width, or Keras's networks by --config.model.variant=mobilenet_v2_035, _050,
_075, _130, _140 and mobilenet_v2_keras. Weights from Keras expect pixels from -1 to 1: data.mean
and data.std of 0.5.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "mobilenet_v2"
    config.model.variant = "mobilenet_v2"
    config.data.num_frames = 8


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.35


def gpu(config):
    """The recipe for a GPU."""
    base.pixels_224(config)
    base.imagenet_colours(config)
