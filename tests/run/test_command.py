"""What is refused on the command line and in config files, and what is understood."""

import json
import os
import random
import string
from pathlib import Path

import pytest

from configs import base
from vidjax import jobs
from vidjax.core.errors import UserError
from vidjax.experiment import flags
from vidjax.run import config as configs

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = ["--config", str(CONFIGS / "tiny3d.py")]


def parse(*argv):
    return jobs.parse([str(word) for word in argv])


def refusal(*argv):
    with pytest.raises(UserError) as refused:
        parse(*argv)
    message = str(refused.value)
    assert (
        refused.value.exit_code == 2
        and 1 <= len(message.splitlines()) <= 5
        and "Traceback" not in message
    )
    return message


def test_overrides_take_the_type_of_the_key():
    config = parse(
        *TINY,
        "--config.batch_size=4",
        "--config.optim.learning_rate=1",
        "--config.optim.nesterov=false",
        "--config.data.crop_area=(0.25,1)",
        "--config.data.root",
        "/some/where",
        "--config.model.variant=5",
    ).config
    assert (
        config.batch_size == 4
        and config.optim.learning_rate == 1.0
        and config.optim.nesterov is False
    )
    assert isinstance(config.optim.learning_rate, float) and isinstance(
        config.data.crop_area, tuple
    )
    assert (
        config.data.crop_area == (0.25, 1)
        and config.data.root == "/some/where"
        and config.model.variant == "5"
    )
    assert config.is_locked


def test_work_folder_job_and_command_line():
    request = parse(*TINY)
    assert (request.job, request.workdir) == ("train", Path("runs/tiny3d"))
    assert parse(TINY[0], TINY[1] + ":jester").workdir == Path("runs/tiny3d-jester")
    assert parse(*TINY, "--workdir", "/a b").line.endswith("--workdir '/a b'")


def test_presets_reach_the_config():
    assert parse(TINY[0], TINY[1] + ":jester").config.data.name == "jester"
    assert "'jestr'" in refusal(TINY[0], TINY[1] + ":jestr")


@pytest.mark.parametrize(
    "words, parts",
    [
        (
            ["--config.optim.learning_rat=1"],
            ["'optim.learning_rat'", "Did you mean --config.optim.learning_rate?"],
        ),
        (["--config.learning_rate=1"], ["Did you mean --config.optim.learning_rate?"]),
        (["--config.model=r2d"], ["'model'"]),
        (["--config.batch_size=many"], ["batch_size=many", "whole number"]),
        (["--config.batch_size=1.5"], ["whole number"]),
        (["--config.model.width=wide"], ["model.width is a number"]),
        (["--config.optim.nesterov=perhaps"], ["true or false"]),
        (["--config.data.mean=abc"], ["data.mean"]),
        (["--config.batch_size"], ["Missing value", "batch_size"]),
        (["--confg.batch_size=3"], ["--confg.batch_size=3", "--help"]),
        (["--work-dir=x"], ["--work-dir"]),
        (["--batch_size=3"], ["no flag --batch_size", "Did you mean --config.batch_size?"]),
        (["stray"], ["stray"]),
        (["--job", "trian"], ["'trian'", "Did you mean 'train'?", "report"]),
    ],
)
def test_wrong_words_are_refused(words, parts):
    message = refusal(*TINY, *words)
    assert all(part in message for part in parts), message


def test_without_words_it_says_what_to_do():
    assert "--config configs/r2p1d.py" in refusal() and "--help" in refusal()


def test_a_config_file_that_is_not_there_names_the_nearest():
    message = refusal("--config", CONFIGS / "tinny3d.py")
    assert f"Did you mean '{CONFIGS / 'tiny3d.py'}'?" in message and "base.py" not in message


@pytest.mark.parametrize("name", ["r2p1d", "r2p1d.py", "configs/r2p1d", "configs/r2p1.py"])
def test_a_config_may_be_named_in_short_and_is_told_in_full(name, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    assert "Did you mean 'configs/r2p1d.py'?" in refusal("--config", name)


@pytest.mark.parametrize(
    "line, parts",
    [
        ("config.optim.learning_rat = 3", ["line 6", "'learning_rat'", "'learning_rate'"]),
        ("config.modle.name = 'x'", ["line 6", "'modle'", "'model'"]),
        ("config.optim['zzz'] = 1", ["line 6", "'zzz'", "base.py"]),
        ("rate = config.optim.learning_rat", ["line 6", "'learning_rat'", "'learning_rate'"]),
        ("config.optim.learning_rate = 'fast'", ["line 6", "learning_rate"]),
        ("config.data = 3 +", ["line 6", "SyntaxError"]),
        ("import nothing_of_that_name", ["line 6", "nothing_of_that_name"]),
        ("return 1 / 0", ["line 6", "division"]),
        ("return 5", ["5", "ConfigDict"]),
    ],
)
def test_a_mistake_in_a_config_file_is_told_with_its_line(line, parts, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from configs import base\n\n\n"
        f"def get_config(preset=''):\n    config = base.defaults()\n    {line}\n"
        "    return config\n"
    )
    message = refusal("--config", path)
    assert str(path) in message and all(part in message for part in parts), message


def test_a_relative_path_is_relative_to_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "here.py").write_text(f"import sys\nexec(open({TINY[1]!r}).read())\n")
    monkeypatch.chdir(tmp_path)
    assert parse("--config", "here.py").config.model.name == "tiny3d"


def test_every_typo_of_every_key_is_refused_and_nearly_all_get_the_right_key():
    """Five edits of the last part of each key: a letter left out, doubled, replaced, put in, or
    swapped.
    """
    chance, keys = random.Random(0), list(configs.flat(base.defaults()))
    assert len(keys) > 50
    config, right, wrong = base.defaults(), 0, []
    for key in keys:
        head, _, last = key.rpartition(".")
        typos = set()
        while len(typos) < 5:
            i, letter = chance.randrange(len(last)), chance.choice(string.ascii_lowercase + "_")
            edits = [
                last[:i] + last[i + 1 :],
                last[:i] + last[i] + last[i:],
                last[:i] + letter + last[i + 1 :],
            ]
            edits += [
                last[:i] + letter + last[i:],
                last[:i] + last[i : i + 2][::-1] + last[i + 2 :],
            ]
            typo = ".".join(filter(None, [head, chance.choice(edits)]))
            if typo not in keys and typo != head:
                typos.add(typo)
        for typo in sorted(typos):
            with pytest.raises(UserError) as refused:
                flags.settle(*configs.override(config, [f"--config.{typo}=1"]))
            message = str(refused.value)
            assert len(message.splitlines()) <= 5
            if f"Did you mean --config.{key}?" in message:
                right += 1
            else:
                wrong.append((typo, message))
    assert right >= 0.95 * (right + len(wrong)), wrong


def test_typos_of_the_group_are_found_too():
    for typo, key in [
        ("optm.learning_rate", "optim.learning_rate"),
        ("dta.root", "data.root"),
        ("modl.name", "model.name"),
    ]:
        assert f"--config.{key}?" in refusal(*TINY, f"--config.{typo}=1")


def write_saved(folder, **settings):
    folder.mkdir()
    config = base.defaults().to_dict() | settings
    (folder / "config.json").write_text(json.dumps(config))


def test_looking_at_a_run_takes_the_config_of_its_folder(tmp_path):
    write_saved(tmp_path / "run", batch_size=3)
    for job in ("evaluate", "report"):
        config = parse(*TINY, "--job", job, "--workdir", tmp_path / "run").config
        assert (
            config.batch_size == 3 and config.data.mean == (0.45, 0.45, 0.45) and config.is_locked
        )
    assert (
        parse("--workdir", tmp_path / "run").config.batch_size == 3
    )  # train goes on without --config
    assert parse(*TINY, "--workdir", tmp_path / "run").config.batch_size == 16
    again = parse(
        "--job", "evaluate", "--workdir", tmp_path / "run", "--config.batch_size=5"
    ).config
    assert again.batch_size == 5


def test_a_damaged_config_of_a_folder_is_told(tmp_path):
    write_saved(tmp_path / "run")
    os.truncate(tmp_path / "run/config.json", 50)
    assert "config.json is damaged" in refusal("--workdir", tmp_path / "run")
    for text in ("{}", "null", "[]"):
        (tmp_path / "run/config.json").write_text(text)
        assert "config.json is damaged" in refusal("--workdir", tmp_path / "run")


def test_flags_of_a_config_without_one_are_refused(tmp_path):
    words = ["--job", "import_weights", "--from", tmp_path / "x", "--to", tmp_path / "y"]
    assert "need one" in refusal(*words, "--config.model.widht=3")
