"""20BN-Jester, the real set, 118,562 training clips: --config.data.root=DIR says where it is."""

SIZE = "gpu"


def apply(config):
    """The defaults of configs/base.py are Jester's."""
    config.data.name = "jester"
