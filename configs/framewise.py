"""A label for every frame: what happens when, on a TSM that keeps all frames.

In the built-in set a clip is idle, then a stroke, then the return of the hand.

    # the built-in set, on a laptop
    python launch.py --config configs/framewise.py
    # a recurrent head in both directions, or one that never looks ahead
    python launch.py --config configs/framewise.py --config.head.name=recurrent \\
        --config.head.output=every --config.head.bidirectional=true
    python launch.py --config configs/framewise.py --config.model.causal=true

Any network with time steps, and any head that answers for every frame: docs/heads.md. Segmental
scores leave out classes that --config.task.background names.
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop)


def network(config):
    """The network, the head and the task."""
    config.model.name = "tsm"
    config.model.variant = "tsm_r18_8f"
    config.head.name = "framewise"
    config.task.name = "framewise"
    config.data.num_frames = 16


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.25
    config.data.gestures.labels = "phases"
    config.loss.label_smoothing = 0.0
