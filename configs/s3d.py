"""S3D: Inception-v1 over clips, with each larger kernel factored into one in space and one in time.

Xie et al., Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video Classification, ECCV 2018.

    python launch.py --config configs/s3d.py                                     the built-in set, on a laptop
    python launch.py --config configs/s3d.py:jester --config.data.root=DIR       Jester, on a GPU
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "s3d"
    config.model.variant = "s3d"
    if not preset:
        config.model.width = 0.25
    return config
