"""Checkpoints: exact, counted only when whole, and never restored wrong."""

import json
import logging
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.core.errors import StorageError, UserError
from vidjax.run import devices
from vidjax.run.checkpoints import Checkpoints


def tree(value):
    """Every type a state has, with an empty node."""
    key = jax.random.key(value)
    return {
        "params": {"w": jax.random.normal(key, (3, 4)), "b": jnp.full((2,), value, jnp.bfloat16)},
        "step": jnp.int32(value),
        "ema": (),
        "sums": {"loss": (jnp.float32(value) / 3, jnp.ones(()))},
    }


def like():
    return devices.abstract(tree(0), devices.make_mesh())


def save(workdir, *steps, scores=None):
    """Checkpoints of steps; the tree of step n is tree(n)."""
    checkpoints = Checkpoints(workdir, clean=True)
    for step in steps:
        checkpoints.save(step, tree(step), score=(scores or {}).get(step))
    checkpoints.wait()
    return checkpoints


def assert_is(found, step):
    assert found[0] == step
    one, two = jax.tree.leaves(found[1]), jax.tree.leaves(tree(step))
    assert jax.tree.structure(found[1]) == jax.tree.structure(tree(step))
    for a, b in zip(one, two, strict=True):
        assert a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_what_comes_back_is_what_was_saved_bit_for_bit(tmp_path):
    save(tmp_path, 5)
    assert_is(Checkpoints(tmp_path).restore(like()), 5)


def test_nothing_there(tmp_path):
    assert Checkpoints(tmp_path, clean=True).restore(like()) is None
    assert Checkpoints(tmp_path).best() is None and Checkpoints(tmp_path).steps() == []


def test_the_latest_two_and_the_best_are_kept(tmp_path):
    checkpoints = save(tmp_path, 1, 2, 3, 4, 5, scores={1: 0.1, 2: 0.9, 3: 0.9, 5: 0.2})
    # Steps 2 and 3 are equally good: the later one is the best.
    assert checkpoints.steps() == [3, 4, 5] and checkpoints.best() == (3, 0.9)
    folders = {path.name for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()}
    assert folders == {"00000003", "00000004", "00000005"}
    assert_is(checkpoints.restore(like(), step="best"), 3)
    assert_is(checkpoints.restore(like(), step="latest"), 5)
    assert_is(checkpoints.restore(like(), step="4"), 4)
    for wrong in ("1", "2", "newest", "-5", "²"):
        with pytest.raises(UserError, match="steps 3, 4, 5") as refused:
            checkpoints.restore(like(), step=wrong)
        assert refused.value.exit_code == 2


def test_without_a_score_the_latest_is_the_best(tmp_path):
    assert_is(save(tmp_path, 1, 2).restore(like(), step="best"), 2)


def test_a_score_that_is_no_number_is_never_the_best(tmp_path):
    assert save(tmp_path, 3, 5, scores={3: float("nan"), 5: 0.5}).best() == (5, 0.5)


def test_a_score_can_come_later(tmp_path):
    checkpoints = save(tmp_path, 1, 2, 3, scores={1: 0.5})
    assert checkpoints.steps() == [1, 2, 3]
    checkpoints.set_score(3, 0.7)
    assert checkpoints.best() == (3, 0.7) and checkpoints.steps() == [2, 3]
    assert_is(checkpoints.restore(like()), 3)


def test_a_donated_state_does_not_reach_the_save_under_way(tmp_path):
    """The next step writes into the buffers of the one that is being saved."""
    size = 1 << 20
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    state = jnp.zeros((size,))
    checkpoints = Checkpoints(tmp_path)
    for number in range(1, 6):
        state = step(state)
        checkpoints.save(number, {"x": state})
        for _ in range(3):
            state = step(state)
        checkpoints.wait()
        shape = devices.abstract({"x": state}, devices.make_mesh())
        found = np.asarray(checkpoints.restore(shape)[1]["x"])
        assert (found == 4 * number - 3).all()


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGES = {
    "flipped": flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "deleted": os.unlink,
}


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_to_any_file_is_seen_and_the_step_before_restores(how, tmp_path, caplog):
    whole = tmp_path / "whole"
    save(whole, 3, 6)
    names = [
        p.relative_to(whole) for p in (whole / "checkpoints/00000006").rglob("*") if p.is_file()
    ]
    assert len(names) >= 6
    for i, name in enumerate([name for name in names if (whole / name).stat().st_size]):
        broken = shutil.copytree(whole, tmp_path / str(i))
        DAMAGES[how](broken / name)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="vidjax"):
            assert_is(Checkpoints(broken, clean=True).restore(like()), 3)
        told = [record.getMessage() for record in caplog.records if record.name == "vidjax"]
        inside = str(name.relative_to("checkpoints/00000006"))
        assert (
            len(told) == 1 and told[0].startswith("checkpoint 6 is damaged") and inside in told[0]
        )


@pytest.mark.parametrize("text", ["", "{", '{"step": 6}', "[]", "null"])
def test_a_damaged_manifest_is_seen_too(text, tmp_path, caplog):
    save(tmp_path, 3, 6)
    (tmp_path / "checkpoints/00000006.json").write_text(text)
    assert_is(Checkpoints(tmp_path, clean=True).restore(like()), 3)
    assert "checkpoint 6 is damaged (00000006.json cannot be read)" in caplog.text


def test_a_damaged_step_that_was_asked_for_is_not_replaced(tmp_path):
    checkpoints = save(tmp_path, 3, 6)
    shutil.rmtree(tmp_path / "checkpoints/00000006/d")
    with pytest.raises(StorageError, match="00000006 is damaged .* There are others, of steps 3"):
        checkpoints.restore(like(), step="6")
    shutil.rmtree(tmp_path / "checkpoints/00000003/d")
    with pytest.raises(StorageError, match="No checkpoint in .* is whole") as refused:
        checkpoints.restore(like())
    assert refused.value.exit_code == 5


def test_a_killed_save_leaves_nothing_that_counts(tmp_path):
    save(tmp_path, 3, 6)
    folder = tmp_path / "checkpoints"
    shutil.copytree(folder / "00000006", folder / "00000009")
    shutil.copytree(folder / "00000006", folder / "00000012.orbax-checkpoint-tmp")
    (folder / ".00000009.json.host-1.part").write_text("{")
    (folder / "notes").mkdir()  # not ours
    assert_is(Checkpoints(tmp_path).restore(like()), 6)  # looking clears nothing
    assert (folder / "00000009").exists()
    assert_is(Checkpoints(tmp_path, clean=True).restore(like()), 6)
    assert {p.name for p in folder.iterdir()} == {
        "00000003",
        "00000003.json",
        "00000006",
        "00000006.json",
        "notes",
    }


def test_steps_after_the_restored_one_are_made_again(tmp_path):
    checkpoints = save(tmp_path, 3, 6)
    flip(tmp_path / "checkpoints/00000006/manifest.ocdbt")
    assert checkpoints.restore(like())[0] == 3
    checkpoints.drop_after(3)
    checkpoints.save(4, tree(4))
    checkpoints.wait()
    assert checkpoints.steps() == [3, 4]
    assert_is(checkpoints.restore(like()), 4)


def test_a_folder_that_takes_no_files_is_a_storage_error(tmp_path):
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(StorageError) as refused:
        Checkpoints(tmp_path).save(1, tree(1))
    assert refused.value.exit_code == 5


def test_a_failure_in_the_background_is_told_by_the_next_wait(tmp_path, monkeypatch):
    checkpoints = save(tmp_path, 3)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidjax.run.checkpoints.write_json", full)
    checkpoints.save(6, tree(6))
    with pytest.raises(StorageError, match="No space left") as refused:
        checkpoints.wait()
    assert "bytes are free" in str(refused.value) and len(str(refused.value).splitlines()) <= 5
    checkpoints.wait()  # once
    assert json.loads((tmp_path / "checkpoints/00000003.json").read_text())["step"] == 3
    assert_is(Checkpoints(tmp_path, clean=True).restore(like()), 3)
