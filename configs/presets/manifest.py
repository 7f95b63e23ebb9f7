"""Clips of your own that a JSONL file lists: --config.data.root=FILE says which.

vidjax/data/manifest_rows.py says what a row has, and --config.data.manifest.labels=segments reads
the segments of a clip in place of its label.
"""

SIZE = "laptop"


def apply(config):
    """The data, and a recipe that fits hundreds of clips and two cores."""
    config.data.name = "manifest"
    config.batch_size = 16
    config.num_epochs = 30.0
    config.log_steps = 20
    config.head.dropout = 0.0
    config.data.size = 80
    config.data.resize = 88
    config.optim.learning_rate = 3e-3
    config.optim.ema_decay = 0.99
    config.schedule.warmup_steps = 60
    # nobody has said which classes a mirror image swaps: config.data.manifest.swaps
    config.augment.flip = 0.0
