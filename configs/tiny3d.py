"""A small classifier of three residual 3D blocks: the one to read first.

python launch.py --config configs/tiny3d.py                                  the built-in set, on a laptop
python launch.py --config configs/tiny3d.py:jester --config.data.root=DIR    Jester, on a GPU
"""

from configs import common


def get_config(preset=""):
    config = common.base(preset)
    config.model.name = "tiny3d"
    config.model.variant = "tiny3d"
    if not preset:
        config.model.width = 0.5
    return config
