"""The network of a config file, as something to measure. Only this file knows configs."""

from benchmarks.targets import NUM_CLASSES, Target
from vidjax import experiment, models
from vidjax.experiment.assembly import make_network
from vidjax.run.config import load_config


def from_config(name: str) -> Target:
    """The network, batch size, clip and precision of FILE or FILE:PRESET. Raises UserError.

    The head and the lowering are left out: all networks are measured with the same head, without
    dropout, and it is the benchmark that compares lowerings.
    """
    path, _, preset = name.partition(":")
    config = load_config(path, preset)
    experiment.check(config)
    # The classes of its data set do not matter here, nor does its head.
    module = make_network(config, NUM_CLASSES)
    family, variant, changes = models.identify(module, prefer=config.model.variant)
    fields = []
    for field, value in changes.items():
        if field not in models.COMPUTING:
            fields.append((field, value))
    data = config.data
    return Target(
        family,
        variant,
        clip=(config.batch_size, data.num_frames, data.size, data.size, 3),
        precision=config.precision,
        fields=tuple(fields),
    )
