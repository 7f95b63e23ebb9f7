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


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A file of weights of a 2D network, in place of those of ImageNet."""
    module = models.build("resnet2d", variant="resnet18", num_classes=7, width=WIDTH)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(CLIP)))
    rng = np.random.default_rng(0)

    def draw(leaf):
        # Positive, as variances are, and small enough for activations to stay finite.
        return rng.uniform(0.05, 0.1, leaf.shape).astype(np.float32)

    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
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


def train(job, cheap, workdir, *words):
    config = ["--config", ROOT / "configs/cnn_rnn.py", "--config.head.width=4", *cheap]
    often = ["--config.eval_steps=1", "--config.checkpoint_steps=1", "--config.optim.ema_decay=0.5"]
    job([*config, *often, *words, "--workdir", workdir])
    return checkpoints(workdir)


def test_a_frozen_backbone_keeps_its_weights_and_statistics_to_the_bit(
    job, cheap, stand_in, tmp_path
):
    words = [f"--config.init_from={stand_in}", "--config.model.frozen=backbone"]
    states = train(job, cheap, tmp_path / "run", *words)
    assert 2 in states
    expected = bits(of_file(stand_in))
    assert len(expected) == 100
    for state in states.values():
        assert bits(arrays(state)) == expected
        assert bits(arrays(state["ema"])) == expected
    # What is not frozen learned: averages of the head that still were its start would equal it.
    head, averaged = (tree["params"]["head"] for tree in (states[2], states[2]["ema"]))
    assert not jax.tree.all(jax.tree.map(np.array_equal, head, averaged))


@pytest.mark.slow
def test_a_backbone_that_is_not_frozen_moves(job, cheap, stand_in, tmp_path):
    states = train(job, cheap, tmp_path / "run", f"--config.init_from={stand_in}")
    moved, expected = arrays(states[2]), of_file(stand_in)
    same = [name for name, array in expected.items() if np.array_equal(moved[name], array)]
    assert not [name for name in same if name.startswith("batch_stats")]
    assert len(same) < len(expected) / 10
