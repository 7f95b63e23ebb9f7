"""Every key that a config has, with its default and meaning, and how a config is put together.

A config is made in this order: the defaults of this file, the data set of the preset (a file of
configs/presets), the network of the config file, and its recipe for the size that the preset asks
for: "laptop" or "gpu". A key that is not named here does not exist; a flag or a file that misspells
one is refused. Only `model` and `head` take more: the fields of the family and of the head.
"""

import difflib
import importlib
import pkgutil

from ml_collections import ConfigDict

from configs import presets

DEFAULT_PRESET = "gestures"  # the built-in synthetic set


def build(preset="", *, network, laptop=None, gpu=None):
    """The config of an experiment, locked.

    Args:
        preset: a file of configs/presets, or "" for DEFAULT_PRESET.
        network: network(config) sets what the network needs at any size.
        laptop, gpu: laptop(config) and gpu(config) set the recipe for that size; None where the
            defaults are the recipe.

    Raises ValueError for a preset that does not exist.
    """
    data = _preset(preset or DEFAULT_PRESET)
    config = defaults()
    data.apply(config)
    network(config)
    recipe = {"laptop": laptop, "gpu": gpu}[data.SIZE]
    if recipe is not None:
        recipe(config)
    return config


def _preset(name):
    """The module of a preset. Raises ValueError where there is none."""
    names = sorted(module.name for module in pkgutil.iter_modules(presets.__path__))
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"There is no preset {name!r}.{hint} There are: {', '.join(names)}.")
    return importlib.import_module(f"configs.presets.{name}")


def pixels_224(config):
    """Clips of 224x224 from frames whose short side is 256, as networks from ImageNet take them."""
    config.data.size = 224
    config.data.resize = 256


def imagenet_colours(config):
    """The mean and standard deviation of ImageNet, for weights that were trained there."""
    config.data.mean = (0.485, 0.456, 0.406)
    config.data.std = (0.229, 0.224, 0.225)


def defaults() -> ConfigDict:
    """Every key with its default, locked, except for the sections that take other keys as well."""
    config = ConfigDict()
    config.seed = 0  # of parameters, order of clips and every random choice
    config.batch_size = 64  # clips a step, over all devices
    config.num_epochs = 60.0  # passes over the training clips
    config.num_steps = 0  # updates; 0: as many as num_epochs needs
    config.log_steps = 50  # steps from one line of metrics to the next
    config.eval_steps = 0  # steps from one evaluation to the next; 0: once an epoch
    config.checkpoint_steps = 0  # steps from one checkpoint to the next; 0: once an epoch
    # weights to start from: a work folder, a file of a known code base, or published weights by
    # name (torchvision:r2plus1d_18), which are fetched once; for a network of two streams also one
    # for each, with a comma between, the spatial one first; "": random
    config.init_from = ""
    # how 2D kernels become 3D: copy (to all frames, divided by their number) or centre
    config.inflate = "copy"
    # of the network's arithmetic: float32 or bfloat16; parameters stay float32
    config.precision = "float32"
    # keep results of convolutions alone for the backward pass: less memory, more time; a CPU needs
    # jaxlib 0.11 for it
    config.remat = False
    # onednn: convolutions by oneDNN (CPU, jaxlib 0.11 or later). cache: keep compiled programs in
    # data.cache_dir, except those with oneDNN. quick_init: compile initialisation at a low
    # optimisation level; the bits are the same. huge_pages: memory in pages of 2 MiB (Linux), which
    # saves a CPU up to a fifth of a step.
    config.compile = ConfigDict(
        {"onednn": True, "cache": True, "quick_init": True, "huge_pages": True}
    )
    config.task = _task()
    config.model = _model()
    # a file of vidjax/heads; "": the variant's own
    config.head = ConfigDict({"name": "average", "dropout": 0.2})
    config.data = _data()
    config.optim = _optim()
    config.schedule = _schedule()
    config.augment = _augment()
    # "": the first loss that the task takes
    config.loss = ConfigDict({"name": "", "label_smoothing": 0.1})
    config.lock()
    config.model.unlock()
    config.head.unlock()
    return config


def _task() -> ConfigDict:
    task = ConfigDict()
    task.name = "classification"  # a file of vidjax/tasks
    # framewise: classes that segmental scores leave out, with commas between, such as silence
    task.background = ""
    task.max_boxes = 4  # detection: objects of a clip that its label has room for
    return task


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
    # for what is made once (clips, lists, programs); "": $VIDJAX_CACHE or ~/.cache/vidjax
    data.cache_dir = ""
    data.num_frames = 16  # frames of a clip, T
    # segments: one frame of each T-th of the video; window: T frames at a stride
    data.sampling = "segments"
    data.stride = 2  # window: frames from one to the next
    data.stride_jitter = 0  # window, training: the stride is drawn from stride +- jitter
    # videos with too few frames: clamp holds the last one, repeat starts again
    data.short = "clamp"
    data.size = 112  # side of the square the network sees, pixels
    data.resize = 128  # evaluation: short side before the centre crop of `size`
    # training: random_resized, multi_scale, or centre as in evaluation
    data.crop = "random_resized"
    data.crop_area = (0.5, 1.0)  # random_resized: share of the frame's area
    data.crop_ratio = (0.75, 1.3333)  # random_resized: width to height
    data.crop_scales = (1.0, 0.875, 0.75, 0.66)  # multi_scale: sides as shares of the short side
    data.mean = (0.45, 0.45, 0.45)  # subtracted from R, G, B on the 0..1 scale
    data.std = (0.225, 0.225, 0.225)  # and what it is divided by
    data.max_bad = 0.0  # share of clips that may be unreadable before the run refuses to start
    data.decode_threads = 0  # 0: one a core
    data.gestures = _gestures()
    data.manifest = _manifest()
    return data


def _gestures() -> ConfigDict:
    gestures = ConfigDict()  # of the built-in set
    gestures.train_clips = 70  # a class
    gestures.validation_clips = 20  # a class
    gestures.num_classes = 27  # the first so many of Jester's
    gestures.seed = 0  # of the drawings
    # gesture: one of the classes; attributes: shape and direction; phases: idle, stroke, return;
    # masks: the pixels of hands; boxes: boxes around hands
    gestures.labels = "gesture"
    return gestures


def _manifest() -> ConfigDict:
    manifest = ConfigDict()  # of a JSONL file with a row for each clip
    manifest.labels = "clip"  # what the classes are of: clip, segments, masks, boxes
    manifest.label_key = "label"  # the key of a row that has the label of the clip
    manifest.segment_key = "label"  # the key of a segment that has its label
    manifest.segment_background = ""  # the class of what lies outside of all segments; "": none
    # masks: names of the values 0, 1, ... with commas between; "": the lines of classes.txt
    manifest.class_names = ""
    manifest.frames_per_second = 25.0  # of all clips
    # pairs of classes that a mirror image swaps, "left:right, in left:in right"; "": none
    manifest.swaps = ""
    return manifest


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
    # evaluate an average of the parameters that forgets 1 - decay a step; 0: off
    optim.ema_decay = 0.0
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
