"""A small classifier of three residual 3D blocks: the one to read first.

Its network is vidjax/models/tiny3d.py.

    # the built-in set, on a laptop
    python launch.py --config configs/tiny3d.py
    # Jester, on a GPU
    python launch.py --config configs/tiny3d.py:jester --config.data.root=DIR
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "tiny3d"
    config.model.variant = "tiny3d"


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.5
