"""A checkpoint's folder alone is enough to run its network: the contract and the arrays."""

import json
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from configs import two_stream
from vidjax import models
from vidjax.experiment import inference, weights
from vidjax.experiment.assembly import assemble


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


@pytest.mark.parametrize("variant, num_fields", [("two_stream_r18", 10), ("two_stream_i3d", 1)])
def test_networks_of_two_streams_say_what_their_flow_is(variant, num_fields):
    config = two_stream.get_config()
    config.model.variant = variant
    experiment = assemble(config, source=None, classes=("a", "b"), mirror=None)
    about = json.loads(json.dumps(inference.contract(experiment)))["flow"]
    assert about["num_fields"] == num_fields and (about["limit"], about["zero"]) == (20, 128)
    assert about["mean"] == [pytest.approx(128 / 255)]
    config.model.variant = "spatial_r18"
    alone = assemble(config, source=None, classes=("a", "b"), mirror=None)
    assert "flow" not in inference.contract(alone)


def test_weights_of_a_run_come_with_their_network(whole):
    source = weights.read(whole)
    assert str(source) == "tiny3d tiny3d, width=0.05 with 4 classes"
    assert source.clip == (1, 4, 16, 16, 3)
