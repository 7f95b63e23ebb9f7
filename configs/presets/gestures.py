"""The built-in synthetic gesture set, which is drawn at the first run: minutes on two cores."""

SIZE = "laptop"


def apply(config):
    """The data, and a recipe that learns it quickly."""
    config.data.name = "gestures"
    config.batch_size = 16
    config.num_epochs = 12.0
    config.log_steps = 20
    config.eval_steps = 240
    config.head.dropout = 0.0
    config.data.num_frames = 8
    config.data.size = 56
    config.data.resize = 60
    # the affine augmentation moves the frame, so that no gesture is cut off
    config.data.crop = "centre"
    config.optim.learning_rate = 3e-3
    config.optim.ema_decay = 0.99
    config.schedule.warmup_steps = 60
    # mirror images and their swapped labels take longer to learn than there is time
    config.augment.flip = 0.0
    config.augment.rotate = 0.0
    config.augment.translate = 0.06
