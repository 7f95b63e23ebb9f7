"""Two streams: one 2D network reads a frame, another the optical flow of ten frames around it.

Simonyan and Zisserman, Two-Stream Convolutional Networks for Action Recognition in Videos, NIPS
2014. Flow is computed once from the frames and kept in the cache; that needs the package
opencv-python-headless.

    # ResNet-18 twice, on a laptop
    python launch.py --config configs/two_stream.py
    # a stream alone, to fuse the two runs afterwards
    python launch.py --config configs/two_stream.py --config.model.variant=spatial_r18
    python launch.py --config configs/two_stream.py --config.model.variant=temporal_r18
    python launch.py --job evaluate --runs SPATIAL TEMPORAL --fit svm
    # both streams from ImageNet weights of Keras: a kernel of colours becomes one of flow
    python launch.py --config configs/two_stream.py --config.model.width=1 \\
        --config.model.variant=two_stream_mobilenet_v2_035 --config.init_from=FILE \\
        --config.data.mean=0.5,0.5,0.5 --config.data.std=0.5,0.5,0.5
    # both streams from a run of each
    python launch.py --config configs/two_stream.py --config.init_from=SPATIAL,TEMPORAL
    # one linear layer on both, or a weighted sum
    python launch.py --config configs/two_stream.py --config.head.fusion=linear
    python launch.py --config configs/two_stream.py --config.head.temporal_weight=1.5

The 3D form, I3D twice: --config.model.variant=two_stream_i3d.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "two_stream"
    config.model.variant = "two_stream_r18"
    config.head.name = ""  # the variant's own
    config.data.num_frames = 1


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25


def gpu(config):
    """The recipe for a GPU."""
    config.model.variant = "two_stream_r50"
    config.data.num_frames = 3
    base.pixels_224(config)
    base.imagenet_colours(config)
