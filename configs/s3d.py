"""S3D: Inception-v1 over clips, with each larger kernel factored into one in space and one in time.

Xie et al., Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video
Classification, ECCV 2018.

    # the built-in set, on a laptop
    python launch.py --config configs/s3d.py
    # Jester, on a GPU
    python launch.py --config configs/s3d.py:jester --config.data.root=DIR
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "s3d"
    config.model.variant = "s3d"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25
