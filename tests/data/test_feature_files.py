"""Shards of features: cut by size, listed, and read row by row as batches."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vidjax.core.errors import DataError, MissingData
from vidjax.data import feature_files, pipeline
from vidjax.data.sources import open_source

CLIPS = [SimpleNamespace(id=f"clip{i}", label="ab"[i % 2]) for i in range(11)]
ROWS = np.random.default_rng(0).standard_normal((11, 2, 5), np.float32)  # [N, T, C]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Eleven rows of 40 bytes in shards of four, given in batches of three."""
    monkeypatch.setattr(feature_files, "SHARD_BYTES", 4 * 40 + 39)
    batches = [ROWS[start : start + 3] for start in range(0, 11, 3)]
    shards = feature_files.write_split(tmp_path, "train", records=CLIPS, rows=batches)
    assert shards == [f"train-{i:05d}-of-00003.safetensors" for i in range(3)]
    about = {"shape": [2, 5], "classes": ["a", "b"], "splits": {"train": {"shards": shards}}}
    feature_files.write_index(tmp_path, about)
    return tmp_path


def test_every_row_comes_back_once_and_in_order(folder):
    source = open_source("features", root=str(folder))
    assert source.clip_shape == (2, 1, 1, 5) and source.splits == ("train",)
    records = source.records("train")
    assert [(r.id, r.label) for r in records] == [(c.id, c.label) for c in CLIPS]
    batches = list(evaluated(records))
    assert [batch["mask"].sum() for batch in batches] == [4, 4, 3]
    video = np.concatenate([batch["video"] for batch in batches])[:11]
    np.testing.assert_array_equal(video, ROWS[:, :, None, None])
    assert video.dtype == np.float32 and not batches[-1]["video"][-1].any()
    ids = np.concatenate([batch["id"] for batch in batches])
    assert ids.tolist() == [*range(11), -1]
    labels = np.concatenate([batch["label"] for batch in batches])[:11]
    assert labels.tolist() == [i % 2 for i in range(11)]


def encode(record, *_):
    return np.int32("ab".index(record.label))


def evaluated(records, **process):
    return pipeline.eval_batches(records, None, encode=encode, batch_size=4, **process)


def test_processes_share_batches(folder):
    """The second of two processes has padding only in the last batch of 9 clips."""
    records = open_source("features", root=str(folder)).records("train")[:9]
    parts = [list(evaluated(records, process_index=i, process_count=2)) for i in range(2)]
    assert [[int(b["mask"].sum()) for b in part] for part in parts] == [[2, 2, 1], [2, 2, 0]]
    assert {b["video"].shape for part in parts for b in part} == {(2, 2, 1, 1, 5)}


def test_training_has_the_order_of_all_data(folder):
    records = open_source("features", root=str(folder)).records("train")
    settings = dict(encode=encode, seed=3, batch_size=4, num_steps=6)
    batches = list(pipeline.train_batches(records, None, start_step=0, **settings))
    (later,) = list(pipeline.train_batches(records, None, start_step=5, **settings))
    for key, value in later.items():
        np.testing.assert_array_equal(value, batches[5][key])
    for step, batch in enumerate(batches):
        clips = pipeline.train_clips(step, 11, seed=3, batch_size=4)
        assert batch["id"].tolist() == clips.tolist()
        np.testing.assert_array_equal(batch["video"][:, :, 0, 0], ROWS[clips])


def test_a_further_split_joins_the_same_features_and_no_others(folder):
    about = {"shape": (2, 5), "classes": ("a", "b")}
    kept = feature_files.begin(folder, about)
    assert list(kept) == ["train"] and (folder / feature_files.INDEX).exists()
    # An interrupted writing of others leaves no index that speaks of what was there.
    assert feature_files.begin(folder, {**about, "step": 7}) == {}
    assert not (folder / feature_files.INDEX).exists()
    (folder / feature_files.INDEX).write_text("damaged")
    assert feature_files.begin(folder, about) == {}
    assert feature_files.begin(folder / "new", about) == {}


@pytest.mark.parametrize("shard, row", [("../train.safetensors", 0), ("a.safetensors", "0")])
def test_a_list_that_leads_elsewhere_is_damaged(folder, shard, row):
    entry = {"id": "a", "label": "a", "shard": shard, "row": row}
    (folder / "train.jsonl").write_text(json.dumps(entry) + "\n")
    with pytest.raises(DataError, match="train.jsonl cannot be read"):
        open_source("features", root=str(folder)).records("train")


def test_what_is_wrong_is_told(folder, tmp_path_factory):
    source = open_source("features", root=str(folder))
    index = feature_files.read_index(folder)
    feature_files.write_index(folder, {**index, "shape": [2, 6]})
    with pytest.raises(DataError, match="says"):
        open_source("features", root=str(folder)).records("train")
    feature_files.write_index(folder, {**index, "version": 2})
    with pytest.raises(DataError, match="of version 2; this vidjax reads 1"):
        _ = open_source("features", root=str(folder)).classes
    with pytest.raises(MissingData, match="has no features.json"):
        _ = open_source("features", root=str(tmp_path_factory.mktemp("empty"))).classes
    feature_files.write_index(folder, index)
    before = next(evaluated(source.records("train")))
    feature_files.write_split(folder, "train", records=CLIPS, rows=[2 * ROWS])
    after = next(evaluated(source.records("train")))  # not the file that was open
    np.testing.assert_array_equal(after["video"], 2 * before["video"])
    feature_files.write_split(folder, "train", records=CLIPS, rows=[ROWS * np.nan])
    with pytest.raises(DataError, match="not finite"):
        next(evaluated(source.records("train")))
    with pytest.raises(ValueError, match="3 rows were written for 11 clips"):
        feature_files.write_split(folder, "other", records=CLIPS, rows=[ROWS[:3]])
