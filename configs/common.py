"""Every key a config has, once, with its default: files of this folder start from `base` and change what is theirs.

The preset picks the data: "" is the built-in synthetic gesture set with sizes for a laptop, "jester" the real one with
sizes for a GPU. A key that is not named here does not exist; a flag or a file that misspells one is refused.
"""

from ml_collections import ConfigDict

PRESETS = ("", "jester")


def base(preset: str = "") -> ConfigDict:
    """The defaults as a preset changes them, locked. Raises ValueError for one that does not exist."""
    if preset not in PRESETS:
        raise ValueError(
            f"There is no preset {preset!r}. There are: none (built-in set), {', '.join(PRESETS[1:])}."
        )
    config = defaults()
    if preset:
        _jester(config)
    else:
        _laptop(config)
    return config


def defaults() -> ConfigDict:
    """Every key, locked."""
    config = ConfigDict()
    config.seed = 0  # of parameters, order of clips and every random choice
    config.batch_size = 64  # clips a step, over all devices
    config.num_epochs = 60.0  # passes over the training clips
    config.num_steps = 0  # updates; 0: as many as num_epochs needs
    config.log_steps = 50  # steps from one line of metrics to the next
    config.eval_steps = 0  # steps from one evaluation to the next; 0: once an epoch
    config.checkpoint_steps = 0  # steps from one checkpoint to the next; 0: once an epoch
    config.init_from = (
        ""  # weights to start from: a work folder, or a file of a known code base; "": random
    )
    config.inflate = "copy"  # kernels of 2D weights over time: copy (all frames, divided by their number) or centre
    config.precision = (
        "float32"  # of the network's arithmetic: float32 or bfloat16; parameters stay float32
    )
    # keep results of convolutions alone for the backward pass: less memory, more time; a CPU needs jaxlib 0.11 for it
    config.remat = False
    # onednn: its convolutions, on a CPU with jaxlib 0.11 or later; cache: keep compiled programs in data.cache_dir,
    # those without onednn; quick_init: compile initialisation at the cheap level, for the same bits; huge_pages: ask
    # Linux for memory in pages of 2 MiB, which saves a CPU up to a fifth of a step
    config.compile = ConfigDict(
        {"onednn": True, "cache": True, "quick_init": True, "huge_pages": True}
    )
    config.model = _model()
    config.head = ConfigDict({"name": "average", "dropout": 0.2})
    config.data = _data()
    config.optim = _optim()
    config.schedule = _schedule()
    config.augment = _augment()
    config.loss = ConfigDict({"name": "cross_entropy", "label_smoothing": 0.1})
    return config.lock()


def add_fields(config: ConfigDict, **fields) -> None:
    """Adds fields of the config's model, so that flags can set them; one that it lacks is refused at the start."""
    with config.model.unlocked():
        config.model.update(fields)


def _model() -> ConfigDict:
    model = ConfigDict()
    model.name = "resnet3d"  # a file of vidjax/models
    model.variant = "r2plus1d_18"  # a row of its VARIANTS
    model.width = 1.0  # scales all channels
    model.lowering = "auto"  # of convolutions: auto, native, folded, shifted, product, winograd
    return model


def _data() -> ConfigDict:
    data = ConfigDict()
    data.name = "gestures"  # a file of vidjax/data/sources
    data.root = ""  # folder of the data set; the built-in set needs none
    data.cache_dir = (
        ""  # for what is made once (clips, lists, programs); "": $VIDJAX_CACHE or ~/.cache/vidjax
    )
    data.num_frames = 16  # frames of a clip, T
    data.sampling = (
        "segments"  # segments: one frame of each T-th of the video; window: T frames at a stride
    )
    data.stride = 2  # window: frames from one to the next
    data.stride_jitter = 0  # window, training: the stride is drawn from stride +- jitter
    data.short = (
        "clamp"  # videos with too few frames: clamp holds the last one, repeat starts again
    )
    data.size = 112  # side of the square the network sees, pixels
    data.resize = 128  # evaluation: short side before the centre crop of `size`
    data.crop = (
        "random_resized"  # training: random_resized, multi_scale, or centre as in evaluation
    )
    data.crop_area = (0.5, 1.0)  # random_resized: share of the frame's area
    data.crop_ratio = (0.75, 1.3333)  # random_resized: width to height
    data.crop_scales = (1.0, 0.875, 0.75, 0.66)  # multi_scale: sides as shares of the short side
    data.mean = (0.45, 0.45, 0.45)  # subtracted from R, G, B on the 0..1 scale
    data.std = (0.225, 0.225, 0.225)  # and what it is divided by
    data.max_bad = 0.0  # share of clips that may be unreadable before the run refuses to start
    data.decode_threads = 0  # 0: one a core
    # built-in set: clips a class, how many of Jester's classes, and the seed of the drawings
    data.gestures = ConfigDict(
        {"train_clips": 70, "validation_clips": 20, "num_classes": 27, "seed": 0}
    )
    return data


def _optim() -> ConfigDict:
    optim = ConfigDict()
    optim.name = "adamw"  # sgd, adamw, adam
    optim.learning_rate = 1e-3  # at `reference_batch` clips a step
    optim.reference_batch = 0  # scales the rate by batch_size / reference_batch; 0: does not
    optim.weight_decay = 0.05  # decoupled; norms and biases are left alone
    optim.momentum = 0.9  # sgd
    optim.nesterov = True  # sgd
    optim.b1 = 0.9  # adam
    optim.b2 = 0.999  # adam
    optim.eps = 1e-8  # adam
    optim.amsgrad = False  # adam
    optim.clip_norm = 0.0  # largest norm of the whole gradient; 0: off
    optim.ema_decay = (
        0.0  # evaluate an average of the parameters that forgets 1 - decay a step; 0: off
    )
    return optim


def _schedule() -> ConfigDict:
    schedule = ConfigDict()
    schedule.name = "cosine"  # cosine, step, constant
    schedule.warmup_steps = 4000  # linear, from 0
    schedule.end_factor = 0.0  # cosine: last rate over first
    schedule.boundaries = (0.5, 0.75)  # step: where, as shares of the run
    schedule.factor = 0.1  # step: by how much
    return schedule


def _augment() -> ConfigDict:
    augment = ConfigDict()
    augment.flip = 0.5  # probability of a mirror image, with the labels it swaps
    augment.rotate = 10.0  # degrees, either way
    augment.translate = 0.05  # share of the side, either way
    augment.scale = (0.9, 1.1)  # smallest and largest magnification
    augment.brightness = 0.2  # factor 1 +- this
    augment.contrast = 0.2
    augment.saturation = 0.2
    return augment


def _jester(config: ConfigDict) -> None:
    """The defaults are Jester's; 118,562 clips to train on."""
    config.data.name = "jester"


def _laptop(config: ConfigDict) -> None:
    """The built-in set within minutes on two cores."""
    config.data.name = "gestures"
    config.batch_size = 16
    config.num_epochs = 12.0
    config.log_steps = 20
    config.eval_steps = 240
    config.head.dropout = 0.0
    config.data.num_frames = 8
    config.data.size = 56
    config.data.resize = 60
    config.data.crop = (
        "centre"  # the affine augmentation moves the frame, so that no gesture is cut off
    )
    config.optim.learning_rate = 3e-3
    config.optim.ema_decay = 0.99
    config.schedule.warmup_steps = 60
    config.augment.flip = (
        0.0  # mirror images and their swapped labels take longer to learn than there is time
    )
    config.augment.rotate = 0.0
    config.augment.translate = 0.06
