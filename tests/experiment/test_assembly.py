"""What a config asks for that cannot be, and what a run relies on to stay the same."""

import json
from types import SimpleNamespace

import pytest

from configs import base
from vidjax import models
from vidjax.core.errors import StorageError, UserError
from vidjax.data.media import Frames
from vidjax.data.records import Record
from vidjax.experiment import assembly, flags
from vidjax.experiment.data import require_labels, settle_data, write_quarantine
from vidjax.run import config as configs

CLASSES = ("up", "down")


def clips(*labels):
    return [
        Record(str(i), label, Frames(f"/nowhere/{i}", range(1, 4), 5, ".jpg", 12.0))
        for i, label in enumerate(labels)
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


@pytest.mark.parametrize("text", ["{", "[]", '{"classes": ["up"]}', '{"classes": 1, "train": 2}'])
def test_a_damaged_data_file_is_told(begun, text):
    (begun / "data.json").write_text(text)
    with pytest.raises(StorageError, match="data.json is damaged"):
        settle_data(begun, CLASSES, clips("up", "down"))


@pytest.mark.parametrize("text", ["{", "7", "[1]"])
def test_a_damaged_quarantine_is_written_again(tmp_path, text):
    (tmp_path / "quarantine.json").write_text(text)
    write_quarantine(tmp_path, "train", [{"id": "1", "cause": "empty"}])
    table = json.loads((tmp_path / "quarantine.json").read_text())
    assert table == {"train": [{"id": "1", "cause": "empty"}]}


def test_a_clip_without_attributes_has_a_label_and_an_empty_name_is_none():
    require_labels(
        [SimpleNamespace(id="1", label=()), SimpleNamespace(id="2", label="up")], "train"
    )
    with pytest.raises(UserError, match="clip 3 has none"):
        require_labels([SimpleNamespace(id="3", label="")], "train")


def test_a_folder_without_checkpoint_binds_nothing(tmp_path):
    settle_data(tmp_path, CLASSES, clips("up"))
    settle_data(tmp_path, CLASSES[::-1], clips("down", "down"))


def test_an_evaluation_binds_nothing(tmp_path):
    settle_data(tmp_path, CLASSES)
    assert not (tmp_path / "data.json").exists()


@pytest.mark.parametrize("variant", ["r2plus1d_18", "r2plus1d_34"])
def test_r2p1d_config_takes_the_variants_own_midplanes(variant):
    config = configs.load_config("configs/r2p1d.py", "jester")
    config, _ = configs.override(config, [f"--config.model.variant={variant}"])
    own = models.build("resnet3d", variant=variant, num_classes=27).backbone.midplanes
    assert assembly.make_network(config, 27).backbone.midplanes == own
    config = flags.settle(*configs.override(config, ["--config.model.midplanes=paper"]))
    assert assembly.make_network(config, 27).backbone.midplanes == "paper"


def test_another_head_has_none_of_the_fields_that_a_config_gives_its_own():
    config = configs.load_config("configs/segmentation.py")
    assert config.head.channels == 32  # of the dense head
    words = ["--config.head.name=transformer", "--config.head.dropout=0.1"]
    config = flags.settle(*configs.override(config, words))
    assert config.head.to_dict() == {"name": "transformer", "dropout": 0.1}
    config = configs.load_config("configs/segmentation.py")
    config = flags.settle(*configs.override(config, ["--config.head.num_levels=1"]))
    assert config.head.channels == 32 and config.head.num_levels == 1


@pytest.mark.parametrize(
    "word",
    [
        "head.dropout=1.5",
        "model.width=-1",
        "data.std=(0.2,0,0.2)",
        "data.stride_jitter=-1",
        "data.decode_threads=-1",
        "data.max_bad=2",
        "num_epochs=nan",
        "num_epochs=inf",
        "optim.learning_rate=-1.0",
        "optim.reference_batch=-16",
        "optim.ema_decay=1.5",
        "optim.b1=2.0",
        "task.max_boxes=0",
        "task.max_boxes=-1",
    ],
)
def test_values_out_of_range_are_refused(word):
    config, _ = configs.override(base.defaults(), [f"--config.{word}"])
    with pytest.raises(UserError, match=f"{word.partition('=')[0]} is"):
        assembly.check(config)


def test_a_key_that_is_not_there_is_named():
    config = base.defaults().unlock()
    del config["batch_size"]
    with pytest.raises(UserError, match="no key 'batch_size'"):
        assembly.check(config)


def test_a_setting_that_the_built_in_set_cannot_have_names_its_section():
    config, _ = configs.override(base.defaults(), ["--config.data.gestures.num_classes=1"])
    with pytest.raises(UserError, match="config.data.gestures: .* 2 to 27 classes, not 1"):
        assembly.build(config)


def test_a_folder_for_the_built_in_set_is_refused():
    config, _ = configs.override(base.defaults(), ["--config.data.root=/somewhere"])
    with pytest.raises(UserError, match="'/somewhere', but the built-in set reads no folder"):
        assembly.build(config)


def settled(*words):
    return flags.settle(*configs.override(base.defaults(), [f"--config.{word}" for word in words]))


def test_any_field_of_family_and_head_is_a_flag():
    config = settled(
        "model.name=slowfast",
        "model.variant=slowfast_r50_8x8",
        "model.alpha=8",
        "model.norm=group",
        "head.name=mlp",
        "head.hidden=64,32",
    )
    assert config.model.alpha == 8 and config.is_locked
    module = assembly.make_network(config, 5)
    assert module.backbone.alpha == 8 and module.head.hidden == (64, 32)
    assert module.backbone.style.norm == "group"
    assembly.check(config)


def test_causal_is_a_flag_that_is_saved_and_may_be_refused():
    module = assembly.make_network(settled("model.causal=true"), 5)
    assert module.backbone.style.causal
    assert models.describe(module)["fields"]["causal"] is True
    slowfast = ("model.name=slowfast", "model.variant=slowfast_r50_8x8")
    with pytest.raises(UserError, match="SlowFast has no causal form"):
        assembly.check(settled(*slowfast, "model.causal=true"))


@pytest.mark.parametrize(
    "word, parts",
    [
        ("model.alpha=8", ["'model.alpha'"]),  # a field of SlowFast, and this is none
        ("model.midplane=paper", ["Did you mean --config.model.midplanes?"]),
        ("model.varient=r3d_18", ["Did you mean --config.model.variant?"]),
        ("head.droput=0.1", ["Did you mean --config.head.dropout?"]),
        ("model.learning_rate=0.1", ["Did you mean --config.optim.learning_rate?"]),
        ("model.zero_init_last=perhaps", ["zero_init_last", "true or false"]),
    ],
)
def test_a_flag_that_is_no_field_or_of_another_type_is_refused(word, parts):
    with pytest.raises(UserError) as refused:
        settled(word)
    message = str(refused.value)
    assert len(message.splitlines()) <= 5 and all(part in message for part in parts), message


def test_a_field_that_a_config_file_misspells_is_refused():
    config = base.defaults()
    config.model.varient = "r3d_18"
    with pytest.raises(UserError, match="'model.varient'. Did you mean --config.model.variant"):
        assembly.check(config)


def test_a_fault_of_ours_is_not_told_as_the_users(monkeypatch):
    def broken(*arguments, **options):
        raise TypeError("ours")

    monkeypatch.setattr(models, "build", broken)
    with pytest.raises(TypeError, match="ours"):
        assembly.check(base.defaults())
