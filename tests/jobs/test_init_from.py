"""A run from weights of its backbone, through the door: what is frozen keeps its bits."""

from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint
import pytest
from safetensors.numpy import load_file

from vidjax import convert, models

ROOT = Path(__file__).parents[2]
WIDTH, CLIP = 0.05, (1, 4, 16, 16, 3)


pytestmark = pytest.mark.slow  # tests/learn/test_frozen.py proves it for a step by default
BACKBONES = [("tiny3d", "tiny3d"), ("resnet2d", "resnet18")]  # family and variant


def stand_in(folder, name, variant):
    """A file of weights of a backbone, in place of published ones."""
    module = models.build(name, variant=variant, num_classes=7, width=WIDTH)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(CLIP)))
    rng = np.random.default_rng(0)

    def draw(leaf):
        # Positive, as variances are, and small enough for activations to stay finite.
        return rng.uniform(0.05, 0.1, leaf.shape).astype(np.float32)

    path = folder / f"{variant}.safetensors"
    convert.save(path, module, jax.tree.map(draw, shapes), clip=CLIP)
    return path


def checkpoints(run):
    """The states of a run by step, as Orbax restores them by itself."""
    states = {}
    for folder in (run / "checkpoints").iterdir():
        if folder.is_dir():
            tree = orbax.checkpoint.PyTreeCheckpointer().restore(folder.absolute())
            states[int(folder.name)] = tree["state"]
    return states


def arrays(tree):
    """{"params/backbone/...": array} of the backbone of a state or of its averages."""
    flat = {}
    for collection in ("params", "batch_stats"):
        part = {collection: {"backbone": tree[collection]["backbone"]}}
        flat |= flax.traverse_util.flatten_dict(part, sep="/")
    return flat


def of_file(path):
    return {name: array for name, array in load_file(path).items() if "/backbone/" in name}


def bits(flat):
    return {name: np.asarray(array).tobytes() for name, array in flat.items()}


def train(job, cheap, folder, *words, name, variant):
    """(states of a run by step, arrays that it started from)"""
    path = stand_in(folder, name, variant)
    flags = ["--config.head.width=4", f"--config.model.backbone={name}/{variant}"]
    flags += ["--config.checkpoint_steps=1", "--config.optim.ema_decay=0.5"]
    flags += [f"--config.init_from={path}", *words, "--workdir", folder / "run"]
    job(["--config", ROOT / "configs/cnn_rnn.py", *cheap, *flags])
    return checkpoints(folder / "run"), of_file(path)


@pytest.mark.parametrize("name, variant", BACKBONES)
def test_a_frozen_backbone_keeps_its_weights_and_statistics_to_the_bit(
    job, cheap, tmp_path, name, variant
):
    frozen = "--config.model.frozen=backbone"
    states, start = train(job, cheap, tmp_path, frozen, name=name, variant=variant)
    assert 2 in states and any(path.startswith("batch_stats") for path in start)
    for state in states.values():
        assert bits(arrays(state)) == bits(start)
        assert bits(arrays(state["ema"])) == bits(start)
    # What is not frozen learned: averages of the head that still were its start would equal it.
    head, averaged = (tree["params"]["head"] for tree in (states[2], states[2]["ema"]))
    assert not jax.tree.all(jax.tree.map(np.array_equal, head, averaged))


@pytest.mark.parametrize("name, variant", BACKBONES)
def test_a_backbone_that_is_not_frozen_moves(job, cheap, tmp_path, name, variant):
    states, start = train(job, cheap, tmp_path, name=name, variant=variant)
    moved = arrays(states[2])
    same = [path for path, array in start.items() if np.array_equal(moved[path], array)]
    assert not [path for path in same if path.startswith("batch_stats")]
    assert len(same) < len(start) / 2
