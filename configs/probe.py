"""A head on the stored features of a frozen network: seconds to train, as no clip is read again.

First the features, of a run or of published weights; then the head. The features say which classes
there are. Any head: --config.head.name=mlp; some need features with time, made with --pool space,
or with space as well, made with --pool none.

    python launch.py --workdir runs/r2p1d --job features
    python launch.py --config configs/probe.py --config.data.root=runs/r2p1d/features
    # the features of a network that others trained, without training anything
    python launch.py --config configs/r3d.py:jester --config.data.root=DIR --job features \\
        --config.model.variant=r3d_18 --config.init_from=torchvision:r3d_18 --workdir weights/r3d_18
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=recipe, gpu=recipe)


def network(config):
    """No backbone, and arrays in place of frames."""
    config.model.name = "precomputed"
    config.model.variant = "features"
    config.data.name = "features"
    config.augment.flip = 0.0
    config.augment.rotate = 0.0
    config.augment.translate = 0.0
    config.augment.scale = (1.0, 1.0)
    config.augment.brightness = 0.0
    config.augment.contrast = 0.0
    config.augment.saturation = 0.0


def recipe(config):
    """The recipe, the same for any data."""
    config.batch_size = 64
    config.num_epochs = 60.0
    config.eval_steps = 0
    config.log_steps = 20
    config.head.dropout = 0.0
    config.optim.learning_rate = 3e-3
    config.optim.weight_decay = 1e-3
    config.optim.ema_decay = 0.0
    config.schedule.warmup_steps = 20
    config.loss.label_smoothing = 0.0
