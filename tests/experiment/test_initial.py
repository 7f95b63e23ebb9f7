"""What a run says of the weights that it starts from, and what it refuses."""

import dataclasses
import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert, jobs, models
from vidjax.core.errors import ConvertError, UserError
from vidjax.experiment import assembly, initial, weights
from vidjax.experiment.flags import settle
from vidjax.learn.steps import State
from vidjax.run import devices

ROOT = Path(__file__).parents[2]
WIDTH = 0.1


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """files(name, variant, ...) -> a weights file of ours with drawn arrays."""
    folder = tmp_path_factory.mktemp("weights")

    def write(name, variant, *, width=WIDTH, num_classes=4, frames=1):
        path = folder / f"{variant}_{width}_{num_classes}.safetensors"
        if not path.exists():
            module = models.build(name, variant=variant, width=width, num_classes=num_classes)
            clip = (1, frames, 32, 32, 3)
            convert.save(path, module, drawn(module, clip), clip=clip)
        return path

    return write


def drawn(module, clip, seed=1):
    """Variables by NumPy; nothing is compiled."""
    video = models.input_shapes(module, jax.ShapeDtypeStruct(clip, jnp.float32))
    shapes = jax.eval_shape(lambda video: module.init(jax.random.key(0), video), video)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes)


def start(config_file, init_from, *words, width=WIDTH):
    """(variables before, variables after) the start of a run with three classes."""
    flags = [f"--config.init_from={init_from}", f"--config.model.width={width}", *words]
    request = jobs.parse(["--config", str(ROOT / f"configs/{config_file}.py"), *flags])
    config = settle(request.config, request.open_flags)
    module = assembly.make_network(config, 3)
    before = drawn(module, (1, 8, 32, 32, 3), seed=2)
    state = State(
        step=0, params=before["params"], batch_stats=before["batch_stats"], opt_state=(), ema=()
    )
    state = initial.start_from(config, state, module=module, mesh=devices.make_mesh())
    return before, {"params": state.params, "batch_stats": state.batch_stats}


def test_the_account_of_a_sequence(files, caplog):
    caplog.set_level(logging.INFO)
    path = files("resnet2d", "resnet18")
    _, after = start("cnn_rnn", path)
    lines = caplog.text
    assert f"starts from {path}: resnet2d resnet18, width=0.1 with 4 classes" in lines
    assert "100 arrays are taken" in lines and "the head is new: recurrent, 3 classes" in lines
    assert "WARNING" not in lines
    _, original = convert.load(path)
    kernel = original["params"]["backbone"]["stem"]["conv"]["kernel"]
    assert np.array_equal(after["params"]["backbone"]["stem"]["conv"]["kernel"], kernel)


def test_the_account_of_two_streams(files, caplog):
    caplog.set_level(logging.INFO)
    start("two_stream", files("resnet2d", "resnet18"))
    for line in (
        "200 arrays are taken",
        "they fill the stream spatial",
        "they fill the stream temporal",
        "params/backbone/temporal_network/stem/conv/kernel is averaged over the colours and "
        "repeated for every channel of flow",
        "the head is new: streams, 3 classes",
    ):
        assert line in caplog.text


def test_two_weights_with_a_comma_between(files, caplog):
    caplog.set_level(logging.INFO)
    spatial = files("two_stream", "spatial_r18", num_classes=3)
    temporal = files("two_stream", "temporal_r18", num_classes=3)
    _, after = start("two_stream", f"{spatial}, {temporal}")
    for path, stream in ((spatial, "spatial"), (temporal, "temporal")):
        _, original = convert.load(path)
        got = after["params"]
        assert np.array_equal(
            got["head"][stream]["kernel"], original["params"]["head"]["logits"]["kernel"]
        )
        stem = original["params"]["backbone"][f"{stream}_network"]["stem"]["conv"]["kernel"]
        assert np.array_equal(got["backbone"][f"{stream}_network"]["stem"]["conv"]["kernel"], stem)
        assert f"starts from {path}: two_stream {stream}_r18" in caplog.text


def test_a_run_of_one_stream_is_told_of_the_other(files, caplog):
    caplog.set_level(logging.INFO)
    before, after = start("two_stream", files("two_stream", "temporal_r18", num_classes=3))
    assert "the stream spatial has no weights there and starts at random" in caplog.text
    stream = "spatial_network"
    stems = [
        tree["params"]["backbone"][stream]["stem"]["conv"]["kernel"] for tree in (before, after)
    ]
    assert np.array_equal(*stems)


def test_arrays_that_fit_a_network_that_computes_otherwise(files, caplog, monkeypatch):
    """Keras pads otherwise than PyTorch; and what colours were is known of its weights."""
    path = files("mobilenet_v2", "mobilenet_v2_035", width=1.0)
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    read = weights.read
    monkeypatch.setattr(weights, "read", lambda path: dataclasses.replace(read(path), colours=half))
    start("cnn_rnn", path, "--config.model.variant=gru_mobilenet_v2", width=0.35)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        "the weights' own network has padding SAME, not half, and epsilon 0.001, not 1e-05, so "
        "it answers otherwise: --config.model.backbone=mobilenet_v2/mobilenet_v2_035 "
        "--config.model.width=1",
        "the weights were made for other colours than the config's: "
        "--config.data.mean=0.5,0.5,0.5 --config.data.std=0.5,0.5,0.5",
    ]
    caplog.clear()
    advised = ("backbone=mobilenet_v2/mobilenet_v2_035", "variant=gru_mobilenet_v2")
    words = [f"--config.model.{word}" for word in advised]
    words += ["--config.data.mean=0.5,0.5,0.5", "--config.data.std=0.5,0.5,0.5"]
    start("cnn_rnn", path, *words, width=1)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    "config_file, words, told",
    [
        (
            "cnn_rnn",
            ["--config.model.variant=gru_mobilenet_v2_035"],
            "--config.model.backbone=resnet2d/resnet18",
        ),
        (
            "two_stream",
            ["--config.model.temporal=mobilenet_v2/mobilenet_v2_035"],
            "--config.model.temporal=resnet2d/resnet18",
        ),
        (
            "two_stream",
            ["--config.model.variant=temporal_r18", "--config.model.width=0.25"],
            "--config.model.width=0.1",
        ),
    ],
)
def test_weights_of_another_network_are_told_the_part_that_they_fit(
    files, config_file, words, told
):
    with pytest.raises(ConvertError) as caught:
        start(config_file, files("resnet2d", "resnet18"), *words)
    message = str(caught.value)
    assert message.endswith(f"The weights' own network: {told}")
    assert len(message.splitlines()) <= 5


def test_wrong_sources_are_told_in_a_sentence(files):
    resnet = files("resnet2d", "resnet18")
    spatial = files("two_stream", "spatial_r18", num_classes=3)
    with pytest.raises(ConvertError) as caught:
        start("cnn_rnn", f"{resnet},{spatial}")
    assert str(caught.value).startswith(
        "config.init_from does not fit the config's cnn_rnn gru_r18: 2 weights are named, and the "
        "network has no streams.\nIt names "
    )
    with pytest.raises(ConvertError, match="are of the spatial stream alone; this network has the"):
        start("two_stream", spatial, "--config.model.variant=temporal_r18")
    with pytest.raises(UserError, match="There are no weights at .*nothing"):
        start("two_stream", f"{resnet},nothing")
    with pytest.raises(UserError, match="torchvision"):
        words = ["--config", str(ROOT / "configs/two_stream.py")]
        source = f"{resnet},torchvision:resnet19"
        assembly.check(jobs.parse([*words, f"--config.init_from={source}"]).config)
