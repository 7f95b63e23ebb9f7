"""The four layouts of Jester on tiny trees, the quarantine, and the messages for missing data."""

import json
import os

import pytest
from PIL import Image

from vidjax.core.errors import DataError, MissingData
from vidjax.data import frame_index, sources
from vidjax.data.frame_index import Listing
from vidjax.data.sources.jester import Source

LABELS = ["Swiping Left", "Thumb Up", "Swiping Right", "No gesture"]
# id: label, frame numbers, width; out of order, with gaps, and clips of a few frames
TRAIN = {
    "34870": ("Thumb Up", [1, 2, 3, 4, 5], 176),
    "5": ("Swiping Left", [1, 2, 4, 7, 10, 11], 132),
    "100": ("Swiping Right", [3], 100),
}
VALIDATION = {"9": ("No gesture", [1, 2], 176)}
TEST = {"77": ("Thumb Up", [1, 2, 3], 142)}


def write_clips(folder, clips, name="{:05d}.jpg"):
    for clip, (_, numbers, width) in clips.items():
        (folder / clip).mkdir(parents=True)
        for number in numbers:
            Image.new("RGB", (width, 100)).save(folder / clip / name.format(number))


def write_list(path, clips, labels=True, ending="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(
            f"{clip};{label}{ending}" if labels else clip + ending
            for clip, (label, *_) in clips.items()
        )
    )


def write_v1(root, frames="20bn-jester-v1", lists=None, prefix="jester-v1-"):
    for clips in (TRAIN, VALIDATION, TEST):
        write_clips(root / frames, clips)
    lists = lists or root
    write_list(lists / f"{prefix}train.csv", TRAIN)
    write_list(lists / f"{prefix}validation.csv", VALIDATION, ending="\r\n")
    write_list(lists / f"{prefix}test.csv", TEST, labels=False)
    (lists / f"{prefix}labels.csv").write_text("\n".join(LABELS) + "\n")


def write_kaggle(root):
    for split, clips in (("Train", TRAIN), ("Validation", VALIDATION), ("Test", TEST)):
        write_clips(root / split, clips)
        first = "id" if split == "Test" else "video_id"
        lines = [
            f"{first},label,frames,label_id,shape,format"
            if split != "Test"
            else "id,frames,shape,format"
        ]
        for clip, (label, numbers, width) in clips.items():
            named = f"{label}," if split != "Test" else ""
            index = "1," if split != "Test" else ""
            lines.append(f'{clip},{named}{len(numbers)},{index}"(100, {width})",JPEG')
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")


def check_records(source, split, clips, labels=True):
    records = source.records(split)
    assert [record.id for record in records] == list(clips)
    for record, (label, numbers, _) in zip(records, clips.values(), strict=True):
        assert record.label == (label if labels else "")
        media = record.media
        assert media.num_frames == len(numbers) and list(media.numbers) == numbers
        assert media.frames_per_second == 12
        for position in range(media.num_frames):
            assert os.path.isfile(media.path(position))
    assert source.quarantine(split) == []


@pytest.mark.parametrize(
    "frames,lists,prefix",
    [
        ("20bn-jester-v1", ".", "jester-v1-"),
        ("20bn-jester-v1", "labels", ""),
        ("20bnjester-v1", "annotations", "jester-v1-"),
        ("20bn-jester-v1", "../labels", ""),
        (".", ".", "jester-v1-"),
        ("20bn-jester-v1/20bn-jester-v1", ".", "jester-v1-"),
    ],
)
def test_layouts_with_one_frames_folder(tmp_path, frames, lists, prefix):
    root = tmp_path / "data"
    write_v1(root, frames, root / lists, prefix)
    source = Source(str(root))
    assert source.splits == ("train", "validation", "test")
    assert source.classes == tuple(LABELS)
    assert source.flip_swaps == (("Swiping Left", "Swiping Right"),)
    assert "data" in source.about and "4 classes" in source.about and not source.synthetic
    check_records(source, "train", TRAIN)
    check_records(source, "validation", VALIDATION)
    check_records(source, "test", TEST, labels=False)


def test_root_may_be_the_frames_folder_itself(tmp_path):
    write_v1(tmp_path)
    check_records(Source(str(tmp_path / "20bn-jester-v1")), "train", TRAIN)


def test_kaggle_copy(tmp_path):
    write_kaggle(tmp_path)
    source = sources.open_source("jester", root=str(tmp_path))
    assert source.classes == (
        "Swiping Left",
        "Swiping Right",
        "Thumb Up",
    )  # sorted names of the training list
    check_records(source, "train", TRAIN)
    check_records(source, "test", TEST, labels=False)
    assert [bad["id"] for bad in source.quarantine("validation")] == ["9"]


def test_answers_label_the_test_split(tmp_path):
    write_v1(tmp_path, lists=tmp_path / "labels", prefix="")
    write_list(tmp_path / "labels" / "test-answers.csv", TEST)
    check_records(Source(str(tmp_path)), "test", TEST)


def test_contiguous_frames_are_a_range(tmp_path):
    write_v1(tmp_path)
    whole, gaps, single = Source(str(tmp_path)).records("train")
    assert whole.media.numbers == range(1, 6) and single.media.numbers == range(3, 4)
    assert gaps.media.numbers == (1, 2, 4, 7, 10, 11)


@pytest.mark.parametrize("name,digits", [("{:d}.png", 1), ("{:06d}.JPEG", 6), ("{:02d}.jpg", 2)])
def test_any_digits_and_suffix(tmp_path, name, digits):
    clips = {"1": ("x", [1, 2, 9, 10, 11, 100], 8)}
    write_clips(tmp_path / "frames", clips, name)
    (tmp_path / "frames" / "1" / "Thumbs.db").touch()
    (tmp_path / "frames" / "1" / "._00001.jpg").touch()
    write_list(tmp_path / "train.csv", clips)
    source = Source(str(tmp_path))
    assert source.records("train")[0].media.digits == digits
    check_records(source, "train", clips)


def test_quarantine_gives_each_clip_a_cause(tmp_path):
    write_v1(tmp_path)
    (tmp_path / "20bn-jester-v1" / "empty").mkdir()
    write_clips(
        tmp_path / "20bn-jester-v1",
        {"odd": ("", [1], 8), "bare": ("", [1], 8), "mixed": ("", [1], 8)},
    )
    (tmp_path / "20bn-jester-v1" / "mixed" / "2.jpg").touch()
    with open(tmp_path / "jester-v1-train.csv", "a") as file:
        file.write(
            "gone;Thumb Up\nempty;Thumb Up\nodd;Thumbs Up\nbare\nmixed;Thumb Up\n5;Thumb Up\n"
        )
    source = Source(str(tmp_path))
    assert [record.id for record in source.records("train")] == list(TRAIN)
    causes = {bad["id"]: bad["cause"] for bad in source.quarantine("train")}
    assert list(causes) == ["gone", "empty", "odd", "bare", "mixed", "5"]
    assert "No such file" in causes["gone"] and "no numbered frames" in causes["empty"]
    assert "'Thumbs Up' is not among the 4 classes. Did you mean 'Thumb Up'?" in causes["odd"]
    assert (
        "no label" in causes["bare"]
        and "leading zeros" in causes["mixed"]
        and "more than once" in causes["5"]
    )


def refuse_listing(*_):
    raise AssertionError("the folders were listed though there is an index")


def test_index_saves_listing(tmp_path, monkeypatch):
    write_v1(tmp_path / "data")
    source = Source(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache" / "frames"))
    first = source.records("train")
    monkeypatch.setattr(frame_index, "list_folder", refuse_listing)
    assert Source(source.root, source.cache_dir).records("train") == first
    assert len(list((tmp_path / "cache" / "frames").iterdir())) == 1  # and no temporary file


def test_index_follows_list_and_folder(tmp_path):
    root, cache = tmp_path / "data", str(tmp_path / "cache")
    write_v1(root)
    Source(str(root), cache).records("train")
    write_clips(root / "20bn-jester-v1", {"new": ("Thumb Up", [1, 2], 8)})
    with open(root / "jester-v1-train.csv", "a") as file:
        file.write("new;Thumb Up\n")
    assert [record.id for record in Source(str(root), cache).records("train")] == [*TRAIN, "new"]


def test_a_repaired_clip_comes_back_in_spite_of_the_index(tmp_path):
    root, cache = tmp_path / "data", str(tmp_path / "cache")
    write_v1(root)
    (root / "20bn-jester-v1" / "empty").mkdir()
    with open(root / "jester-v1-train.csv", "a") as file:
        file.write("empty;Thumb Up\n")
    assert [bad["id"] for bad in Source(str(root), cache).quarantine("train")] == ["empty"]
    Image.new("RGB", (8, 100)).save(root / "20bn-jester-v1" / "empty" / "00001.jpg")
    assert Source(str(root), cache).quarantine("train") == []
    assert [record.id for record in Source(str(root), cache).records("train")] == [*TRAIN, "empty"]


def test_a_name_that_leads_out_of_the_folder_is_no_clip(tmp_path):
    write_v1(tmp_path)
    write_clips(tmp_path, {"outside": ("Thumb Up", [1], 8)})
    with open(tmp_path / "jester-v1-train.csv", "a") as file:
        file.write(f"../outside;Thumb Up\n{tmp_path}/outside;Thumb Up\n")
    source = Source(str(tmp_path))
    assert [record.id for record in source.records("train")] == list(TRAIN)
    assert ["leads out" in bad["cause"] for bad in source.quarantine("train")] == [True, True]


@pytest.mark.parametrize("damage", ["truncate", "flip", "other"])
def test_damaged_index_is_rebuilt(tmp_path, damage):
    root, cache = tmp_path / "data", tmp_path / "cache"
    write_v1(root)
    first = Source(str(root), str(cache)).records("train")
    (index,) = cache.iterdir()
    whole = index.read_bytes()
    body = bytearray(whole)
    body[-10] ^= 1
    index.write_bytes(
        {"truncate": whole[: len(whole) // 2], "flip": bytes(body), "other": b"\xff\n[]"}[damage]
    )
    assert Source(str(root), str(cache)).records("train") == first
    assert index.read_bytes() == whole


def test_unwritable_cache_is_no_error(tmp_path):
    write_v1(tmp_path)
    (tmp_path / "file").touch()
    assert (
        len(Source(str(tmp_path), cache_dir=str(tmp_path / "file" / "below")).records("train")) == 3
    )


def test_index_packs_what_it_read(tmp_path):
    listings = {
        "a": Listing(range(1, 38), 5, ".jpg"),
        "b": Listing((1, 2, 9), 1, ".png"),
        "c": "a cause",
        "é": Listing(range(0, 1), 2, ".JPG"),
    }
    frame_index.write_index(str(tmp_path / "index"), listings)
    assert frame_index.read_index(str(tmp_path / "index")) == listings
    lines = (tmp_path / "index").read_text().splitlines()
    assert [json.loads(line)[0] for line in lines[1:]] == list(listings)


def told(root, split="train"):
    with pytest.raises(MissingData) as caught:
        Source(str(root)).records(split)
    message = str(caught.value)
    assert len(message.splitlines()) <= 5
    return message


def test_missing_root_says_how_to_get_jester(tmp_path):
    message = told(tmp_path / "nowhere")
    assert (
        str(tmp_path / "nowhere") in message
        and "Qualcomm AI datasets: Jester" in message
        and "research" in message
    )
    assert "data.root is empty" in told("")


def test_missing_lists(tmp_path):
    write_clips(tmp_path / "20bn-jester-v1", TRAIN)
    message = told(tmp_path)
    assert "jester-v1-train.csv" in message and str(tmp_path) in message


def test_a_list_in_another_encoding_is_told(tmp_path):
    write_v1(tmp_path)
    path = tmp_path / "jester-v1-train.csv"
    path.write_bytes("5;Fühlt sich gut an\n".encode("latin-1"))
    with pytest.raises(DataError, match="jester-v1-train.csv is no list in UTF-8"):
        Source(root=str(tmp_path)).records("train")
    path.unlink()
    path.mkdir()
    assert Source(root=str(tmp_path)).splits == ("validation", "test")


def test_missing_frames(tmp_path):
    write_list(tmp_path / "train.csv", TRAIN)
    message = told(tmp_path)
    assert "no frames" in message and "34870" in message


@pytest.mark.parametrize("name", ["20bn-jester-v1", "20bnjester-v1"])
@pytest.mark.parametrize("lists", [False, True])
def test_parts_are_to_be_unpacked(tmp_path, name, lists):
    for part in range(3):
        (tmp_path / f"{name}-{part:02d}").touch()
    if lists:
        write_list(tmp_path / "jester-v1-train.csv", TRAIN)
    assert f"cat {name}-?? | tar zx" in told(tmp_path)


def test_unknown_split(tmp_path):
    write_v1(tmp_path)
    with pytest.raises(DataError, match="Did you mean 'validation'"):
        Source(str(tmp_path)).records("valid")


def test_unknown_source_and_option():
    assert "jester" in sources.names()
    with pytest.raises(MissingData, match="Did you mean 'jester'"):
        sources.open_source("jestr", root="/x")
    with pytest.raises(DataError, match="no option 'clips'"):
        sources.open_source("jester", root="/x", options={"clips": 3})
