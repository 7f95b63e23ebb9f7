"""Weights through the door: a file of a peer into a work folder, a run that starts from it,
safetensors and back.
"""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from configs import detection
from vidjax import convert, models
from vidjax.core.errors import ConvertError, StorageError, UserError
from vidjax.experiment import weights
from vidjax.jobs import import_weights

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(scope="module")
def mc3_18(tmp_path_factory):
    """torchvision's mc3_18 of 400 classes, as a file."""
    spec = importlib.util.spec_from_file_location("fill", GOLDEN / "fill.py")
    golden = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(golden)
    with np.load(GOLDEN / "torchvision" / "mc3_18.npz") as file:
        entries = json.loads(str(file["manifest"]))["state_dict"]
    path = tmp_path_factory.mktemp("peer") / "mc3_18.safetensors"
    save_file(golden.state_dict(entries), str(path))
    return path


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A narrow network of five classes with weights of its own, in our own safetensors."""
    module = models.build("resnet3d", variant="mc3_18", num_classes=5, width=0.05)
    clip = (1, 2, 16, 16, 3)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jax.numpy.zeros(clip)))
    noise = np.random.default_rng(0)
    variables = jax.tree.map(lambda s: np.float32(noise.random(s.shape)), shapes)
    path = tmp_path_factory.mktemp("own") / "narrow.safetensors"
    convert.save(path, module, variables, clip=clip)
    return path, variables


def same(one, two):
    return jax.tree.structure(one) == jax.tree.structure(two) and jax.tree.all(
        jax.tree.map(np.array_equal, one, two)
    )


def test_own_safetensors_come_back_with_their_network(narrow):
    path, variables = narrow
    module, loaded = convert.load(path)
    assert same(loaded, variables)
    assert (
        models.identify(module) == ("resnet3d", "mc3_18", {"width": 0.05})
        and module.head.num_classes == 5
    )
    assert set(load_file(str(path))) >= {
        "params/head/logits/bias",
        "batch_stats/backbone/stem/norm/mean",
    }


def test_a_peers_file_becomes_a_run_that_can_be_started_from(mc3_18, job, cheap, tmp_path, capfd):
    """The way of a user: import, a run of ten classes on the built-in set, the head replaced and
    the rest equal.
    """
    folder, run = tmp_path / "weights", tmp_path / "run"
    words = [
        "--job",
        "import_weights",
        "--config",
        ROOT / "configs/mc.py",
        "--from",
        mc3_18,
        "--workdir",
        folder,
    ]
    job([*words, "--config.data.size=16", "--config.data.resize=18"])
    assert "resnet3d mc3_18 with 400 classes, 11,695,440 parameters" in capfd.readouterr().err
    about = json.loads((folder / "weights.json").read_text())
    assert about["bytes"] == mc3_18.stat().st_size and len(about["sha256"]) == 64
    _, expected = convert.load(mc3_18)
    assert same(weights.read(folder).variables, expected)

    train = [
        f
        for f in cheap
        if not f.startswith(("--config.data.name", "--config.data.root", "--config.model"))
    ]
    small = ["train_clips=1", "validation_clips=1", "num_classes=10"]
    train += [f"--config.data.gestures.{word}" for word in small]
    train += [
        "--config.model.variant=mc3_18",
        "--config.model.width=1",
        f"--config.init_from={folder}",
    ]
    # a rate of nothing: what the first step leaves is what it started from
    train += [
        "--config.optim.learning_rate=0",
        "--config.num_steps=1",
        "--config.schedule.name=constant",
    ]
    train += [
        "--config.optim.ema_decay=0",
        "--config.optim.weight_decay=0",
        "--config.model.lowering=native",
    ]
    job(["--config", ROOT / "configs/mc.py", *train, "--workdir", run])
    assert "its head of 400 classes is replaced by a new one of 10" in capfd.readouterr().err
    started = weights.read(run)
    assert started.num_classes == 10
    assert same(started.variables["params"]["backbone"], expected["params"]["backbone"])
    assert started.variables["params"]["head"]["logits"]["kernel"].shape == (512, 10)


def test_safetensors_out_of_a_run(job, whole, tmp_path):
    job(["--job", "import_weights", "--from", whole, "--to", tmp_path / "out.safetensors"])
    module, variables = convert.load(tmp_path / "out.safetensors")
    found = weights.read(whole)
    assert same(variables, found.variables)
    assert models.identify(module)[:2] == ("tiny3d", "tiny3d") and module.backbone.width == 0.05
    assert not list(tmp_path.glob("weights")), "--to writes the file and nothing else"


def test_the_config_takes_the_network_of_the_file(job, narrow, tmp_path):
    path, variables = narrow
    words = [
        "--job",
        "import_weights",
        "--config",
        ROOT / "configs/mc.py",
        "--from",
        path,
        "--workdir",
        tmp_path / "w",
    ]
    job(words)
    config = json.loads((tmp_path / "w" / "config.json").read_text())
    assert config["model"]["variant"] == "mc3_18" and config["model"]["width"] == 0.05
    assert same(weights.read(tmp_path / "w").variables, variables)
    with pytest.raises(UserError, match="There are checkpoints in"):
        job(
            [
                "--job",
                "import_weights",
                "--config",
                ROOT / "configs/mc.py",
                "--from",
                path,
                "--workdir",
                tmp_path / "w",
            ]
        )


@pytest.mark.parametrize(
    "words, told",
    [
        (
            ["--config", ROOT / "configs/tiny3d.py"],
            "holds resnet3d mc3_18, width=0.05 with 5 classes; the config is of",
        ),
        (
            ["--config", ROOT / "configs/mc.py", "--config.model.variant=mc4_18"],
            "model.variant cannot be 'mc4_18'",
        ),
        ([], "Name a config of that family"),
    ],
)
def test_a_wrong_pairing_is_refused(job, narrow, tmp_path, words, told):
    with pytest.raises(UserError, match=told):
        job(["--job", "import_weights", "--from", narrow[0], "--workdir", tmp_path / "w", *words])
    assert not (tmp_path / "w" / "checkpoints").exists()


def test_what_is_not_there_is_said(job, tmp_path):
    with pytest.raises(UserError, match="import_weights needs --from FILE"):
        job(["--job", "import_weights", "--config", ROOT / "configs/mc.py"])
    with pytest.raises(UserError, match="There are no weights at"):
        job(["--job", "import_weights", "--from", tmp_path / "nothing.pth"])


def test_a_run_that_cannot_start_from_its_weights_says_what_would_fit(job, narrow, tiny, tmp_path):
    path, _ = narrow
    with pytest.raises(ConvertError) as caught:
        job([*tiny, f"--config.init_from={path}", "--workdir", tmp_path / "w"])
    message = str(caught.value)
    assert len(message.splitlines()) <= 5
    assert (
        "holds resnet3d mc3_18, width=0.05 with 5 classes. "
        "It does not fit the config's tiny3d tiny3d" in message
    )
    assert (
        "The weights' own network: --config.model.name=resnet3d --config.model.variant=mc3_18"
        in message
    )
    with pytest.raises(UserError, match="There are no weights at"):
        job([*tiny, f"--config.init_from={tmp_path / 'nothing'}", "--workdir", tmp_path / "v"])
    with pytest.raises(
        UserError, match="config.inflate: There is no inflation 'copies'. Did you mean 'copy'"
    ):
        job([*tiny, "--config.inflate=copies", "--workdir", tmp_path / "v"])


def test_a_damaged_folder_is_refused(job, narrow, tmp_path):
    job(
        [
            "--job",
            "import_weights",
            "--config",
            ROOT / "configs/mc.py",
            "--from",
            narrow[0],
            "--workdir",
            tmp_path,
        ]
    )
    file = next((tmp_path / "checkpoints" / "00000000").rglob("manifest.ocdbt"))
    file.write_bytes(b"x" + file.read_bytes()[1:])
    with pytest.raises(StorageError, match="is whole|is damaged"):
        weights.read(tmp_path)


def test_logits_of_no_class_are_counted():
    """A head of three logits is one of two classes and the background."""
    experiment = import_weights.assemble_for(detection.get_config(), 3)
    assert experiment.module.head.num_classes == 3 and len(experiment.task.classes) == 2
