"""CNN+RNN: a 2D network frame by frame, then a GRU or LSTM over the frames' features.

Donahue et al., Long-term Recurrent Convolutional Networks, CVPR 2015.

    # ResNet-18 and a GRU, on a laptop
    python launch.py --config configs/cnn_rnn.py
    # an LSTM, or the five LSTM layers of Beyond Short Snippets
    python launch.py --config configs/cnn_rnn.py --config.model.variant=lstm_r18
    python launch.py --config configs/cnn_rnn.py --config.model.variant=lstm5_r18
    # a frozen MobileNetV2 from ImageNet weights of Keras, of its own width and for its own colours
    python launch.py --config configs/cnn_rnn.py --config.model.variant=gru_mobilenet_v2_035 \\
        --config.model.width=1 --config.model.frozen=backbone --config.init_from=FILE \\
        --config.data.mean=0.5,0.5,0.5 --config.data.std=0.5,0.5,0.5
    # the same frames without their order, to compare with
    python launch.py --config configs/cnn_rnn.py --config.head.name=average

--config.model.backbone=mobilenet_v2/mobilenet_v2_035 names any other 2D network.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "cnn_rnn"
    config.model.variant = "gru_r18"
    config.head.name = ""  # the variant's own
    config.data.num_frames = 8


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.data.num_frames = 16
    base.pixels_224(config)
    base.imagenet_colours(config)
