"""What a config asks for that cannot be, and what a run relies on to stay the same."""

import pytest

from configs import common
from vidjax import models
from vidjax.core.errors import UserError
from vidjax.data.sources import Record
from vidjax.experiment import parts
from vidjax.experiment.data import settle_data
from vidjax.run import command

CLASSES = ("up", "down")


def clips(*labels):
    return [
        Record(str(i), f"/nowhere/{i}", 3, label, range(1, 4)) for i, label in enumerate(labels)
    ]


@pytest.fixture
def begun(tmp_path):
    """A work folder with a checkpoint, trained on two clips."""
    settle_data(tmp_path, CLASSES, clips("up", "down"))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "00000001.json").write_text("{}")
    return tmp_path


def test_same_data_goes_on(begun):
    settle_data(begun, CLASSES, clips("up", "down"))
    settle_data(begun, CLASSES)


@pytest.mark.parametrize("train", [(), clips("up", "down")])
def test_classes_in_another_order_are_refused(begun, train):
    with pytest.raises(UserError, match="class 0 was 'up' and is 'down'"):
        settle_data(begun, CLASSES[::-1], train)


def test_fewer_classes_are_refused(begun):
    with pytest.raises(UserError, match="class 1 was 'down' and is 'nothing'"):
        settle_data(begun, CLASSES[:1])


@pytest.mark.parametrize(
    "labels, told", [(("up",), "2 then, 1 now"), (("up", "up"), "other names or labels")]
)
def test_other_training_clips_are_refused(begun, labels, told):
    with pytest.raises(UserError, match=told):
        settle_data(begun, CLASSES, clips(*labels))


def test_a_folder_without_checkpoint_binds_nothing(tmp_path):
    settle_data(tmp_path, CLASSES, clips("up"))
    settle_data(tmp_path, CLASSES[::-1], clips("down", "down"))


def test_an_evaluation_binds_nothing(tmp_path):
    settle_data(tmp_path, CLASSES)
    assert not (tmp_path / "data.json").exists()


@pytest.mark.parametrize("variant", ["r2plus1d_18", "r2plus1d_34"])
def test_r2p1d_config_takes_the_variants_own_midplanes(variant):
    config = command.load_config("configs/r2p1d.py", "jester")
    config = command.override(config, [f"--config.model.variant={variant}"])
    built = parts.network(config, 27).backbone
    assert (
        built.midplanes
        == models.build("resnet3d", variant=variant, num_classes=27).backbone.midplanes
    )
    config = command.override(config, ["--config.model.midplanes=paper"])
    assert parts.network(config, 27).backbone.midplanes == "paper"


@pytest.mark.parametrize(
    "word",
    [
        "head.dropout=1.5",
        "model.width=-1",
        "data.std=(0.2,0,0.2)",
        "data.stride_jitter=-1",
        "data.decode_threads=-1",
        "data.max_bad=2",
    ],
)
def test_values_out_of_range_are_refused(word):
    config = command.override(common.base(), [f"--config.{word}"])
    with pytest.raises(UserError, match=f"config.{word.partition('=')[0]} is"):
        parts.check(config)
