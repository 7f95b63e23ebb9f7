"""The lock, the config a folder is bound to, and what env.json can say without git."""

import fcntl
import json
import os
import re
import subprocess
import sys

import pytest

from configs import base
from vidjax.core.errors import Locked, StorageError, UserError
from vidjax.run import workdir


def changed(**settings):
    config = base.defaults()
    with config.unlocked():
        config.update_from_flattened_dict(settings)
    return config


def bind(folder, config):
    """A folder with a checkpoint of this config."""
    workdir.settle_config(folder, config)
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints/00000003.json").write_text("{}")


def test_a_folder_has_one_owner(tmp_path):
    path = tmp_path / "a" / "run"
    with workdir.opened(path):
        with pytest.raises(Locked) as refused, workdir.opened(path):
            pass
        owner = re.search(
            r"in use by (\S+), pid (\d+), since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\. ",
            str(refused.value),
        )
        assert refused.value.exit_code == 6 and int(owner[2]) == os.getpid()
    with workdir.opened(path):  # and may be had again
        pass


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    code = (
        "import os, fcntl, sys\n"
        "lock = open(sys.argv[1], 'a+'); fcntl.flock(lock, fcntl.LOCK_EX); "
        "lock.write('gone, pid 1, since ever'); "
        "lock.flush(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=True)
    with workdir.opened(tmp_path):
        assert f"pid {os.getpid()}," in (tmp_path / "lock").read_text()
        assert "gone" not in (tmp_path / "lock").read_text()


def test_an_unreadable_owner_is_still_a_refusal(tmp_path):
    with open(tmp_path / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="another process"), workdir.opened(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="cannot be written") as refused,
        workdir.opened(tmp_path / "file" / "run"),
    ):
        pass
    assert refused.value.exit_code == 5


@pytest.mark.parametrize("key", workdir.FREE_KEYS)
def test_length_logging_and_places_may_change(key, tmp_path):
    bind(tmp_path, base.defaults())
    old = workdir.flat(base.defaults())[key]
    new = changed(**{key: {str: "elsewhere", int: 7, float: 7.0, bool: not old}[type(old)]})
    workdir.settle_config(tmp_path, new)
    assert workdir.flat(workdir.read_config(tmp_path / "config.json"))[key] != old


def test_every_other_key_is_refused_with_both_values(tmp_path):
    bind(tmp_path, base.defaults())
    before = (tmp_path / "config.json").read_bytes()
    for key, old in workdir.flat(base.defaults()).items():
        if key in workdir.FREE_KEYS:
            continue
        kinds = {bool: not old, str: "other"}
        new = kinds.get(type(old), (0.1, 0.2) if isinstance(old, tuple) else 77)
        with pytest.raises(UserError) as refused:
            workdir.settle_config(tmp_path, changed(**{key: type(old)(new)}))
        line = str(refused.value).splitlines()[1]
        assert key in line and repr(old) in line and repr(type(old)(new)) in line
    assert (tmp_path / "config.json").read_bytes() == before


def test_many_differences_stay_within_five_lines(tmp_path):
    bind(tmp_path, base.defaults())
    with pytest.raises(UserError) as refused:
        other = {"seed": 1, "batch_size": 3, "precision": "bfloat16", "remat": True, "inflate": "x"}
        workdir.settle_config(tmp_path, changed(**other))
    assert len(str(refused.value).splitlines()) <= 5 and "more" in str(refused.value)


def test_a_folder_without_a_checkpoint_takes_any_config(tmp_path):
    workdir.settle_config(tmp_path, base.defaults())
    workdir.settle_config(tmp_path, changed(seed=3))
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 3


def test_json_is_written_whole_or_not_at_all(tmp_path):
    workdir.write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        workdir.write_json(tmp_path / "x.json", {("no", "key"): 1})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    with pytest.raises(StorageError, match="cannot be written"):
        workdir.write_json(tmp_path / "x.json" / "y.json", {})


def test_without_git_the_commit_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert workdir.environment("line", ["cpu"])["commit"] == ""
    (tmp_path / "git").write_text("#!/bin/sh\nexit 128\n")
    (tmp_path / "git").chmod(0o755)
    env = workdir.environment("line", ["cpu"], extra=1)
    assert (
        env["commit"] == ""
        and env["extra"] == 1
        and env["command"] == "line"
        and "jax" in env["versions"]
    )


def test_the_commit_says_whether_files_differ(tmp_path, monkeypatch):
    (tmp_path / "git").write_text(
        '#!/bin/sh\ncase "$*" in *rev-parse*) echo abc123;; *) echo " M file";; esac\n'
    )
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert workdir.environment("line", [])["commit"] == "abc123+"
