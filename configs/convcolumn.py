"""ConvColumn: small networks of 2x3x3 kernels, made for Jester by a tutorial on 3D convolutions.

github.com/OValery16/Tutorial-about-3D-convolutional-network; its ConvColumn6 reached 85.08 % top-1
on Jester's validation split, in 225 passes. `jester` is that recipe: 18 frames, every second one
from a random start, 84x84 from the middle of the frame, Adam with AMSGrad at a constant rate. It
departs where the tutorial draws rotation and shift anew for every frame of a clip: here a clip
moves as one.

    # the built-in set, on a laptop
    python launch.py --config configs/convcolumn.py
    python launch.py --config configs/convcolumn.py --config.model.variant=conv_column_5
    # Jester, on a GPU
    python launch.py --config configs/convcolumn.py:jester --config.data.root=DIR
"""

from configs import base


def get_config(preset=""):
    return base.build(preset, network=network, laptop=laptop, gpu=gpu)


def network(config):
    """The network and what it needs at any size."""
    config.model.name = "convcolumn"
    config.model.variant = "conv_column_6"
    config.head.dropout = 0.0


def laptop(config):
    """The recipe for minutes on two cores."""
    config.model.width = 0.125
    config.num_epochs = 8.0
    # the fewest, and nearly the smallest frames, that the network takes
    config.data.num_frames = 16
    config.data.size = 80
    config.data.resize = 84


def gpu(config):
    """The tutorial's recipe, for a GPU."""
    config.batch_size = 100
    config.num_epochs = 225.0
    config.data.num_frames = 18
    config.data.sampling = "window"
    config.data.stride = 2
    config.data.size = 84
    config.data.resize = 100  # Jester's height: frames stay as they are
    config.data.crop = "centre"
    base.imagenet_colours(config)
    config.optim.name = "adam"
    config.optim.amsgrad = True
    config.optim.learning_rate = 1e-3
    config.optim.weight_decay = 0.0
    config.schedule.name = "constant"
    config.schedule.warmup_steps = 0
    config.augment.flip = 0.0
    config.augment.rotate = 10.0
    config.augment.translate = 0.15
    config.augment.scale = (1.0, 1.0)
    config.augment.brightness = 0.0
    config.augment.contrast = 0.0
    config.augment.saturation = 0.0
    config.loss.label_smoothing = 0.0
