"""A checkpoint's folder alone is enough to run its network: the contract and the arrays."""

import json
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp

from vidjax import models
from vidjax.experiment import weights


def test_a_folder_that_was_carried_elsewhere_gives_the_network(whole, tmp_path):
    step = sorted(path for path in (whole / "checkpoints").iterdir() if path.is_dir())[-1]
    folder = shutil.copytree(step, tmp_path / "elsewhere")
    contract = json.loads((folder / "inference.json").read_text())
    assert contract["classes"] == ["Swiping Left", "Swiping Right", "Sinking", "Rising"]
    assert contract["network"]["head"] == {"name": "average", "dropout": 0.3}
    assert contract["clip"]["frames_per_second"] == 12.0 and contract["clip"]["num_frames"] == 4
    assert len(contract["normalise"]["mean"]) == 3 and contract["decoder"]["version"]

    module = models.from_description(contract["network"])
    clip = contract["clip"]
    video = np.zeros((1, clip["num_frames"], clip["size"], clip["size"], 3), np.float32)
    state = ocp.PyTreeCheckpointer().restore(folder)["state"]
    variables = {name: state[name] for name in ("params", "batch_stats")}
    logits = jax.jit(lambda v: module.apply(v, video, train=False))(variables)
    assert logits.shape == (1, len(contract["classes"])) and np.isfinite(logits).all()


def test_weights_of_a_run_come_with_their_network(whole):
    source = weights.read(whole)
    assert str(source) == "tiny3d tiny3d, width=0.05 with 4 classes"
    assert source.clip == (1, 4, 16, 16, 3)
