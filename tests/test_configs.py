"""Every config with every preset: a training step of its full size, two steps of a small one."""

import importlib
import json
import pkgutil
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import presets
from vidjax import jobs, models
from vidjax.experiment.assembly import build
from vidjax.experiment.programs import Programs
from vidjax.run import devices

ROOT = Path(__file__).parents[1]
TINY3D = str(ROOT / "configs/tiny3d.py")
# `probe` needs features that were made before; tests/jobs/test_features.py trains it
NOT_HERE = ("base.py", "probe.py")
CONFIGS = sorted(str(path) for path in (ROOT / "configs").glob("*.py") if path.name not in NOT_HERE)
PRESETS = sorted(module.name for module in pkgutil.iter_modules(presets.__path__))
ARGUMENTS = [f"{path}:{preset}" for path in CONFIGS for preset in PRESETS]
# Presets of one size have the recipe of the network in common. So `manifest`, of the size of
# `gestures`, is trained for one network and for each task.
OF_MANIFEST = ("r2p1d", "multilabel", "framewise", "segmentation", "detection")
TRAINED = []
for argument in ARGUMENTS:
    if not argument.endswith(":manifest") or Path(argument).name.partition(".")[0] in OF_MANIFEST:
        TRAINED.append(argument)


def name_of(argument):
    return Path(argument).name.replace(".py", "")


@pytest.mark.sweep
@pytest.mark.parametrize("argument", [a for a in ARGUMENTS if a.endswith(":jester")], ids=name_of)
def test_every_config_has_a_training_step_of_its_full_size(argument, squares):
    """Traced, not computed: shapes, optimiser, schedule, augmentation and loss of each preset fit
    together.
    """
    words = ["--config", argument, "--config.data.name=jester", f"--config.data.root={squares}"]
    words.append("--config.model.lowering=native")  # the least to trace
    experiment = build(jobs.parse(words).config)
    programs = Programs(experiment, devices.make_mesh())
    tx = experiment.optimiser(experiment.schedule(num_steps=1000))
    count = experiment.config.batch_size * programs.mesh.devices.size
    batch = programs.batch_shapes(count)
    assert ("flow" in batch) == (experiment.flow is not None)
    shapes = programs.checkpoint_shapes(tx)
    after = jax.eval_shape(programs.train_step(tx), shapes["state"], shapes["window"], batch)
    before = shapes["state"], shapes["window"]
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), before
    )


def test_each_size_of_recipe_is_trained_for_each_network():
    """And every preset for some."""
    sizes = {name: importlib.import_module(f"configs.presets.{name}").SIZE for name in PRESETS}
    assert sizes["manifest"] == sizes["gestures"]
    assert {argument.partition(":")[2] for argument in TRAINED} == set(PRESETS)
    assert len(TRAINED) == (len(PRESETS) - 1) * len(CONFIGS) + len(OF_MANIFEST)


@pytest.mark.slow
@pytest.mark.parametrize("argument", TRAINED, ids=name_of)
def test_every_config_trains_two_steps(argument, cheap, dense, job, tmp_path):
    words = ["--config", argument, *cheap]
    config = jobs.parse([str(word) for word in words]).config
    if config.task.name in ("framewise", "segmentation", "detection"):
        _, _, *data = dense(config.task.name)  # the config is that of the argument
        words += data
    name = config.model.name
    if name == "two_stream":
        pytest.importorskip("cv2")
    if least := getattr(models.family(name), "MIN_CLIP", None):  # `cheap` clips are smaller
        frames, *_, size = least
        size = max(size, 16)
        clips = {"num_frames": max(frames, 4), "size": size, "resize": size + 2}
        words += [f"--config.data.{field}={value}" for field, value in clips.items()]
    job([*words, "--workdir", tmp_path / "run"])
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "train/loss" in row] == [1, 2]
    assert all(np.isfinite(row["train/loss"]) for row in rows if "train/loss" in row)
