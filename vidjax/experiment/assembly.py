"""The parts of an experiment, made from a config: data source, task, network, clips, optimiser.

The parts take plain values: only `experiment` and `jobs` read config keys. Whatever a config asks
for that does not exist is refused here in a sentence, before any data is read or a device is used.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from vidjax import models, tasks
from vidjax.core.errors import DataError, MissingData, UserError
from vidjax.core.machine import cache_folder
from vidjax.core.names import no_such
from vidjax.data import labels
from vidjax.data.clips import ClipSpec
from vidjax.data.flow import FlowReader
from vidjax.data.sources import open_source
from vidjax.experiment import checks
from vidjax.gestures import source as gestures
from vidjax.learn import augment, optim
from vidjax.run import devices
from vidjax.tasks import Task

# Two are enough to find out whether a config can be built, and no network minds how many there are.
CLASSES_OF_CHECK = ("class 0", "class 1")
NAMES_CLASSES = ("background",)  # settings of tasks that are names of classes
# Of optical flow on the 0..1 scale: 128 is no motion, and the spread is that of temporal segment
# networks (Wang et al., ECCV 2016), whose published flow networks expect it.
FLOW_MEAN, FLOW_STD = (128 / 255,), (0.226,)
# what has an answer: the heads to choose from
HEADS_OF_ANSWERS = {
    "clip": "--config.head.name=average, mlp, recurrent, ... (docs/heads.md)",
    "frames": "--config.head.name=framewise, or recurrent or transformer with "
    "--config.head.output=every",
    "places": "--config.head.name=dense",
}


@dataclass(frozen=True)
class Lengths:
    """How long a run is and how often something happens in it, in steps."""

    num_steps: int
    log_steps: int
    eval_steps: int
    checkpoint_steps: int


@dataclass(frozen=True)
class Experiment:
    """What a config describes. Nothing here has been read from images or put on a device."""

    config: ConfigDict
    source: Any  # of records; see vidjax/data/sources
    task: Task
    module: models.Classifier
    clips: ClipSpec
    augment: augment.Augment

    @property
    def video_shape(self) -> tuple[int, int, int, int, int]:
        """[1, T, H, W, C] of a clip."""
        if self.reads_arrays:
            return (1, *self.source.clip_shape)
        size = self.clips.size
        return (1, self.clips.num_frames, size, size, 3)

    @property
    def reads_arrays(self) -> bool:
        """Whether a clip is an array of features, which has no frames and no colours."""
        return has_arrays(self.source)

    @property
    def input_shapes(self) -> Any:
        """What the network takes of one clip, as shapes: a video, or a video and its flow."""
        video = jax.ShapeDtypeStruct(self.video_shape, jnp.float32)
        return models.input_shapes(self.module, video)

    @property
    def flow(self) -> FlowReader | None:
        """Reads the flow that batches carry; None for networks that read the video alone."""
        channels = models.flow_channels(self.module)
        if not channels:
            return None
        return FlowReader(str(cache_dir(self.config)), channels // 2, self.clips.resize)

    @property
    def inputs(self) -> Callable[[dict[str, jax.Array]], Any]:
        """From a batch, whose pixels are on the 0..255 scale, to what the network takes."""
        data = self.config.data
        if self.reads_arrays:
            return lambda batch: batch["video"]
        has_flow = models.flow_channels(self.module) > 0

        def inputs(batch):
            video = augment.normalise(batch["video"], mean=data.mean, std=data.std)
            if not has_flow:
                return video
            return video, augment.normalise(batch["flow"], mean=FLOW_MEAN, std=FLOW_STD)

        return inputs

    @property
    def compiler_options(self) -> dict[str, Any]:
        """What the programs are compiled with."""
        return compiler_options(self.config)

    def lengths(self, num_clips: int) -> Lengths:
        """The lengths of a run over `num_clips` training clips.

        The last batch is filled up from the epoch that would follow, so that every step is whole.
        """
        config = self.config
        epoch = max(1, math.ceil(num_clips / config.batch_size))
        num_steps = config.num_steps
        if num_steps == 0:
            num_steps = max(1, math.ceil(config.num_epochs * num_clips / config.batch_size))
        return Lengths(
            num_steps=num_steps,
            log_steps=config.log_steps,
            eval_steps=config.eval_steps or epoch,
            checkpoint_steps=config.checkpoint_steps or epoch,
        )

    def schedule(self, num_steps: int) -> optax.Schedule:
        """Step -> learning rate over a run of `num_steps`."""
        return make_schedule(self.config, num_steps)

    def optimiser(self, schedule: optax.Schedule) -> optax.GradientTransformation:
        """The optimiser, with that schedule; what of the network is frozen gets no update."""
        frozen = ("backbone",) if self.module.frozen else ()
        return optim.frozen(make_optimiser(self.config, schedule), frozen)


def build(config: ConfigDict, *, assumed_classes: int = 0) -> Experiment:
    """The experiment that a config describes, with the classes of its data set.

    With `assumed_classes`, a data set that is not there is taken to have so many classes.
    Raises UserError for what the config cannot mean, DataError and MissingData for the data set.
    """
    check(config)
    source = make_source(config)
    classes_are_known = True
    try:
        classes, swaps = source.classes, source.flip_swaps
    except MissingData:
        if not assumed_classes:
            raise
        classes_are_known = False
        classes, swaps = tuple(f"class {index}" for index in range(assumed_classes)), ()
    mirror = None
    # Only where clips are mirrored: a set may have classes whose mirror image nobody has named.
    if config.augment.flip:
        mirror = labels.flip_map(classes, swaps)
    experiment = assemble(config, source=source, classes=classes, mirror=mirror)
    if experiment.reads_arrays and classes_are_known:
        check_labels_of_features(experiment)
    return experiment


def check(config: ConfigDict) -> None:
    """Builds everything except the data set. Raises UserError for what the config cannot mean."""
    checks.check_values(config)
    # The parts refuse what they cannot be; nobody keeps what comes out.
    experiment = assemble(config, source=None, classes=CLASSES_OF_CHECK, mirror=None)
    experiment.optimiser(experiment.schedule(num_steps=1))


def assemble(
    config: ConfigDict, *, source: Any, classes: tuple[str, ...], mirror: np.ndarray | None
) -> Experiment:
    """The experiment over these classes.

    Args:
        config: as in `build`.
        source: the data set, or None to find out whether the rest can be built.
        classes: their names.
        mirror: int32 [K], the class of each class's mirror image; None where labels stay.

    Raises UserError.
    """
    clips = make_clips(config)
    task = make_task(config, classes, clips)
    module = make_network(config, task.num_logits)
    check_answers(config, task, module)
    flip_label = None
    # A map of every class to itself would cost a lookup in each step for nothing.
    if mirror is not None and (mirror != np.arange(len(mirror))).any():
        flip_label = functools.partial(task.flip_label, mirror=mirror)
    return Experiment(
        config=config,
        source=source,
        task=task,
        module=module,
        clips=clips,
        augment=augment.make_augment(
            flip_label=flip_label, move_label=task.move_label, **config.augment
        ),
    )


def make_task(config: ConfigDict, classes: tuple[str, ...], clips: ClipSpec) -> Task:
    """The task of a config over these classes. Raises UserError."""
    # A config lists the settings of all tasks; each takes those that it has.
    own = {}
    for option in tasks.options(config.task.name):
        # Names of classes cannot be looked up before the data set has told the classes.
        if option in NAMES_CLASSES and classes == CLASSES_OF_CHECK:
            continue
        own[option] = config.task[option]
    return tasks.build(
        config.task.name,
        classes,
        clip=tasks.ClipSize(clips.num_frames, clips.size),
        loss=config.loss.name,
        settings=without_name(config.loss),
        **own,
    )


def check_answers(config: ConfigDict, task: Task, module: models.Classifier) -> None:
    """Raises UserError where the head does not answer what the task asks."""
    if module.head.answers == task.answers:
        if not getattr(module.head, "upsample", True):
            raise UserError(
                f"The task {task.name} needs an answer for each of the {config.data.num_frames} "
                "frames of a clip, and config.head.upsample is False: leave it out."
            )
        return
    words = {"clip": "the whole clip", "frames": "every frame", "places": "every place"}
    if module.head.answers not in words:
        sentence = no_such("kind of answers", str(module.head.answers), list(words))
        raise UserError(f"The head {checks.head_name(config)} has wrong `answers`. {sentence}")
    raise UserError(
        f"The task {task.name} asks for an answer for {words[task.answers]}; the head "
        f"{checks.head_name(config)} answers for {words[module.head.answers]}.\n"
        f"Choose another: {HEADS_OF_ANSWERS[task.answers]}."
    )


def check_labels_of_features(experiment: Experiment) -> None:
    """Raises UserError where stored features have no labels for the task of the config."""
    task, config = experiment.task, experiment.config
    if task.answers != "clip":
        raise UserError(
            f"config.task.name is {task.name}, but features are stored with labels of whole clips "
            "alone.\nTrain it on clips, with the backbone frozen: --config.model.frozen=backbone."
        )
    made_for = experiment.source.index.get("task", task.name)
    if made_for != task.name:
        raise UserError(
            f"The features in {config.data.root} were made for the task {made_for}, so their "
            f"labels are not those of {task.name}.\n"
            "--config.task.name=multilabel takes those of multilabel; those of frames and places "
            "are not stored."
        )


def has_arrays(source: Any) -> bool:
    """Whether the clips of a source are arrays: of its class, so that no file is read for it."""
    return hasattr(type(source), "clip_shape")


def make_source(config: ConfigDict) -> Any:
    """The data set of a config; it opens its lists when they are asked for. Raises UserError."""
    data = config.data
    # Without this, somebody who forgot the preset would train on drawn hands.
    if data.name == "gestures" and data.root:
        raise UserError(
            f"config.data.root is {data.root!r}, but the built-in set reads no folder.\n"
            "Name the preset of your data behind the config, e.g. --config configs/r2p1d.py:jester."
        )
    # The options of a source are the section of its name; a source without options has none.
    options = data.get(data.name)
    if not isinstance(options, ConfigDict):
        options = {}
    try:
        source = open_source(
            data.name,
            root=data.root,
            cache_dir=str(cache_dir(config)),
            options=dict(options),
            # the one source that draws its clips itself, which the room of data knows nothing of
            built_in={"gestures": gestures.Source},
        )
    except MissingData:
        raise
    except DataError as error:  # sources know no configs, only their own settings
        raise UserError(f"config.data.{data.name}: {error}") from error
    if has_arrays(source):
        checks.check_without_pixels(config)
    return source


def make_network(config: ConfigDict, num_logits: int) -> models.Classifier:
    """The network of a config. Raises UserError for a name or field that does not exist."""
    fields_of_model = without_name(config.model)
    # "auto" depends on how the program will be compiled, which only this room knows.
    if fields_of_model.get("lowering") == "auto":
        fields_of_model["lowering"] = devices.lowering(compiler_options(config))
    return models.build(
        config.model.name,
        num_classes=num_logits,
        head=dict(config.head),
        dtype=config.precision,
        **fields_of_model,
    )


def make_clips(config: ConfigDict) -> ClipSpec:
    """Which frames and which crop a clip becomes. Raises UserError."""
    values = {field.name: config.data[field.name] for field in fields(ClipSpec)}
    try:
        return ClipSpec(**values)
    except DataError as error:  # clips know no configs, only their own settings
        raise UserError(f"config.{error}") from error


def make_schedule(config: ConfigDict, num_steps: int) -> optax.Schedule:
    """Step -> learning rate, scaled with the batch if the config asks for it. Raises UserError."""
    schedule = config.schedule
    # A config lists the settings of all schedules; each takes those that it has.
    names = optim.settings_of(optim.SCHEDULES, schedule.name, what="schedule")
    rate = optim.scaled_learning_rate(
        config.optim.learning_rate, config.batch_size, config.optim.reference_batch
    )
    return optim.make_schedule(
        name=schedule.name,
        learning_rate=rate,
        num_steps=num_steps,
        warmup_steps=schedule.warmup_steps,
        **{name: schedule[name] for name in names},
    )


def make_optimiser(config: ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optimiser, with the settings that it has for itself. Raises UserError."""
    settings = config.optim
    names = optim.settings_of(optim.OPTIMISERS, settings.name, what="optim")
    return optim.make_optimiser(
        name=settings.name,
        schedule=schedule,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
        **{name: settings[name] for name in names},
    )


def without_name(section: ConfigDict) -> dict[str, Any]:
    """The entries of a section of the config, except `name`, which chooses what they are for."""
    return {key: value for key, value in section.items() if key != "name"}


def compiler_options(config: ConfigDict) -> dict[str, Any]:
    """What the programs of a config are compiled with."""
    return devices.compiler_options(onednn=config.compile.onednn)


def cache_dir(config: ConfigDict) -> Path:
    """Where what is made once (clips, lists, programs) is kept."""
    return cache_folder(config.data.cache_dir)


def use_compilation_cache(config: ConfigDict) -> None:
    """Keeps compiled programs in the cache folder, unless the config says not to.

    Programs that call oneDNN cannot be kept: jaxlib fails to write them, and says so each time.
    """
    if config.compile.cache and not compiler_options(config):
        devices.use_compilation_cache(cache_dir(config) / "programs")
