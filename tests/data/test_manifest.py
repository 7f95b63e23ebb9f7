"""Manifests: what a row may say, what is refused with its line, and a run through the door."""

import json

import numpy as np
import pytest
from PIL import Image

from configs import base
from vidjax.core.errors import DataError, MissingData, UserError
from vidjax.data.labels import flip_map
from vidjax.data.media import Frames, MaskArray, MaskFrames
from vidjax.data.records import Segment
from vidjax.data.sources import names, open_source
from vidjax.data.sources.manifest import Source, fill_gaps
from vidjax.experiment.assembly import make_source
from vidjax.run import config as configs

NUM_FRAMES = 6


@pytest.fixture
def folder(tmp_path):
    """Two clips of six frames, numbered from 1 with three digits, and one whose numbers skip."""
    for clip, numbers in (("a", range(1, 7)), ("b", range(1, 7)), ("c", (2, 5, 9))):
        path = tmp_path / "frames" / clip
        path.mkdir(parents=True)
        for number in numbers:
            Image.new("RGB", (24, 18), (number * 20,) * 3).save(path / f"{number:03d}.png")
    return tmp_path


def write(folder, *rows):
    """Writes the rows; a text is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def row(clip="a", split="train", **values):
    return {"path": f"frames/{clip}", "split": split, **values}


def test_labels_of_clips(folder):
    write(folder, row("b", label="wave", other=3), "", row("a", label="clap"), row("c", "test"))
    source = open_source("manifest", root=str(folder), options={"frames_per_second": 10.0})
    assert "manifest" in names() and source.classes == ("clap", "wave")
    assert source.splits == ("train", "test") and source.num_records("train") == 2
    assert source.synthetic is False and source.flip_swaps == ()
    assert "manifest.jsonl" in source.about and "2 classes" in source.about
    first, second = source.records("train")
    assert (first.id, first.label) == ("frames/b", "wave") and second.label == "clap"
    frames = Frames(str(folder / "frames/b"), range(1, 7), 3, ".png", 10.0)
    assert first.media == frames and not first.segments and not first.boxes and not first.masks
    (unlabelled,) = source.records("test")
    assert unlabelled.label == "" and unlabelled.media.numbers == (2, 5, 9)
    assert source.quarantine("train") == source.quarantine("test") == []
    # The file itself may be named, too.
    assert Source(str(folder / "manifest.jsonl")).records("train")[0].id == "frames/b"


def test_several_labels_under_another_key(folder):
    write(folder, row(command=["up", "red"], id="one"), row("b", command="up"))
    source = Source(str(folder), label_key="command")
    assert source.classes == ("red", "up")
    assert [(r.id, r.label) for r in source.records("train")] == [
        ("one", ("up", "red")),
        ("frames/b", "up"),
    ]


def test_segments_with_a_background(folder):
    """Rows as those of a corpus of spoken words: the word is the label, and the slot is ignored."""
    words = [
        {"start": 0.16, "end": 0.2, "slot": "digit", "word": "two"},
        {"start": 0.04, "end": 0.12, "slot": "command", "word": "bin"},
    ]
    write(folder, row(command="bin", segments=words), row("b", "validation", segments=[]))
    plain = Source(str(folder), labels="segments", segment_key="word")
    assert plain.classes == ("bin", "two")
    (record,) = plain.records("train")
    assert record.segments == (Segment(0.04, 0.12, "bin"), Segment(0.16, 0.2, "two"))
    assert record.label == "segments"  # it has one: else a run would refuse to train on it
    source = Source(
        str(folder),
        labels="segments",
        label_key="command",
        segment_key="word",
        segment_background="silence",
    )
    assert source.classes == ("silence", "bin", "two")
    (record,) = source.records("train")
    assert record.label == "bin"
    assert [(s.start, s.end, s.label) for s in record.segments] == [
        (0.0, 0.04, "silence"),
        (0.04, 0.12, "bin"),
        (0.12, 0.16, "silence"),
        (0.16, 0.2, "two"),
        (0.2, 6 / 25, "silence"),
    ]
    (silent,) = source.records("validation")
    assert silent.segments == (Segment(0.0, 6 / 25, "silence"),)


def test_segments_that_label_no_frame(folder):
    """Six frames at 25 a second end at 0.24 s."""
    late = [{"start": 0.24, "end": 0.5, "label": "x"}]
    good = [{"start": 0.1, "end": 0.2, "label": "x"}]
    write(folder, row(segments=late), row("b", segments=[]), row("b", id="good", segments=good))
    source = Source(str(folder), labels="segments", frames_per_second=25.0)
    assert [record.id for record in source.records("train")] == ["good"]
    late, empty = source.quarantine("train")
    assert late["cause"] == (
        "its segment 'x' from 0.24 to 0.5 s does not fit its 6 frames, which end at 0.24 s at 25 "
        "frames a second (--config.data.manifest.frames_per_second)"
    )
    assert empty["cause"].startswith("no segment in its row, and --config.data.manifest.segment")
    # With a background class, a clip without segments is one of it.
    with_background = Source(str(folder), labels="segments", segment_background="x")
    assert len(with_background.records("train")) == 2


def test_segments_that_overlap_or_go_beyond_the_clip(folder):
    """Times are rounded: half a frame is nothing."""
    overlapping = [
        {"start": 0.0, "end": 0.12, "label": "x"},
        {"start": 0.08, "end": 0.2, "label": "y"},
    ]
    rounded = [
        {"start": 0.0, "end": 0.12, "label": "x"},
        {"start": 0.11, "end": 0.27, "label": "y"},
    ]
    write(folder, row(segments=overlapping), row("b", segments=rounded))
    source = Source(str(folder), labels="segments")
    assert [record.id for record in source.records("train")] == ["frames/b"]
    assert causes_of(source) == {
        "frames/a": "its segment 'y' from 0.08 to 0.2 s overlaps 'x', which ends at 0.12 s"
    }
    # With twice the rate the same clip is half as long.
    source = Source(str(folder), labels="segments", frames_per_second=50.0)
    assert "does not fit its 6 frames, which end at 0.12 s" in causes_of(source)["frames/b"]


def test_boxes_outside_of_the_frame(folder):
    """The frames are 24 wide and 18 high: rows and columns may be taken for each other."""
    inside = {"label": "cup", "frames": [0, 1], "boxes": [[-2, 20, 5, 30], [17, 23, 18, 24]]}
    outside = {"label": "cup", "frames": [2], "boxes": [[20, 3, 23, 9]]}
    write(folder, row(boxes=[inside]), row("b", boxes=[inside, outside]))
    source = Source(str(folder), labels="boxes")
    assert [record.id for record in source.records("train")] == ["frames/a"]
    assert causes_of(source)["frames/b"] == (
        "its box of 'cup' in frame 2, (top, left, bottom, right) = (20, 3, 23, 9), is outside of "
        "the frame, which is 24 x 18"
    )


def test_gaps_of_overlapping_segments():
    parts = (Segment(0.0, 3.0, "a"), Segment(1.0, 2.0, "b"), Segment(4.0, 9.0, "c"))
    filled = fill_gaps(parts, end=5.0, label="-")
    assert filled == (*parts[:2], Segment(3.0, 4.0, "-"), parts[2])


def test_boxes(folder):
    tracks = [
        {"label": "cup", "frames": [3, 1], "boxes": [[5, 6, 7, 8], [1, 2, 3, 4.5]]},
        {"label": "ball", "frames": [], "boxes": []},
    ]
    write(folder, row(boxes=tracks), row("b", boxes=[], label="empty"), row("c", "test"))
    source = Source(str(folder), labels="boxes")
    assert source.classes == ("ball", "cup")
    first, second = source.records("train")
    assert [track.label for track in first.boxes] == ["cup", "ball"]
    assert first.boxes[0].frames.tolist() == [1, 3] and first.boxes[0].frames.dtype == np.int32
    assert first.boxes[0].boxes.tolist() == [[1, 2, 3, 4.5], [5, 6, 7, 8]]
    assert first.boxes[1].boxes.shape == (0, 4) and first.boxes[1].boxes.dtype == np.float32
    assert second.boxes == () and (first.label, second.label) == ("boxes", "empty")
    assert source.records("test")[0].label == ""


def test_masks(folder):
    draw_masks(folder / "masks/c", "002", "005", "009")
    np.savez(folder / "masks/a.npz", mask=np.zeros((6, 18, 24), np.uint8))
    write(folder, row(masks="masks/a.npz"), row("c", masks="masks/c"), row("b", masks="masks/b"))
    with pytest.raises(DataError, match="Nothing names the classes of the masks.*classes.txt"):
        _ = Source(str(folder), labels="masks").classes
    (folder / "classes.txt").write_text("ground\n\nroad\n")
    source = Source(str(folder), labels="masks")
    assert source.classes == ("ground", "road")
    assert Source(str(folder), labels="masks", class_names="x, y").classes == ("x", "y")
    with pytest.raises(DataError, match="'x' of the masks is named more than once"):
        _ = Source(str(folder), labels="masks", class_names="x,x").classes
    array, frames = source.records("train")
    assert array.masks == MaskArray(str(folder / "masks/a.npz")) and array.label == "masks"
    assert frames.masks == MaskFrames(str(folder / "masks/c"), (2, 5, 9), 3)
    assert frames.masks.path(1).endswith("masks/c/005.png")
    (bad,) = source.quarantine("train")
    assert bad["id"] == "frames/b"
    assert "masks/b cannot be listed: No such file" in bad["cause"]


def draw_masks(folder, *names, size=(24, 18)):
    """Empty masks of these numbers; the size is width and height."""
    folder.mkdir(parents=True)
    for name in names:
        Image.new("L", size).save(folder / f"{name}.png")


def test_masks_that_do_not_fit_are_found_at_the_start(folder):
    """And not in the middle of a run, when a clip's turn comes."""
    draw_masks(folder / "masks/a", "001", "002", "003", "005", "006")
    draw_masks(folder / "masks/b", *[f"{number:03d}" for number in range(1, 7)], size=(18, 24))
    np.savez(folder / "masks/c.npz", mask=np.zeros((4, 18, 24), np.uint8))
    (folder / "masks/d.npz").write_bytes(b"no archive")
    np.savez(folder / "masks/e.npz", mask=np.zeros((6, 18, 24), np.float32))
    write(
        folder,
        row("a", masks="masks/a"),
        row("b", masks="masks/b"),
        row("c", masks="masks/c.npz"),
        row("a", id="d", masks="masks/d.npz"),
        row("a", id="e", masks="masks/e.npz"),
        row("a", id="f", masks="masks/f.npz"),
    )
    causes = causes_of(Source(str(folder), labels="masks", class_names="ground"))
    assert "there is no file 004.png" in causes["frames/a"]
    assert causes["frames/b"] == "its first mask is 18 x 24, but its first frame is 24 x 18"
    assert causes["frames/c"] == "it has 4 masks, but 3 frames"
    assert "d.npz is no readable .npz file with an array 'mask'" in causes["d"]
    assert "it has to be uint8 [T, H, W]" in causes["e"]
    assert "there is no file f.npz" in causes["f"]


def causes_of(source):
    """{name of a clip of the training split: why it cannot be used}."""
    return {bad["id"]: bad["cause"] for bad in source.quarantine("train")}


def test_what_cannot_be_used_goes_to_the_quarantine(folder):
    write(
        folder,
        row(label="x"),
        row("gone", label="x"),
        row(label="x"),
        row("b"),
        row("b", id="later", label="x", path="../elsewhere"),
        row("c", "validation", label="y"),
    )
    source = Source(str(folder))
    assert [record.id for record in source.records("train")] == ["frames/a"]
    causes = {bad["id"]: bad["cause"] for bad in source.quarantine("train")}
    assert "cannot be listed" in causes["frames/gone"] and "no label" in causes["frames/b"]
    assert causes["frames/a"] == "listed more than once"
    assert "leads out of the folder" in causes["later"]
    (unknown,) = source.quarantine("validation")
    assert "label 'y' is not among the 1 classes" in unknown["cause"]
    tracks = [{"label": "cup", "frames": [6], "boxes": [[0, 0, 1, 1]]}]
    source = Source(str(write(folder, row(boxes=tracks))), labels="boxes")
    assert source.quarantine("train")[0]["cause"] == "a box in frame 6, but there are 6"


def track(**values):
    return row(boxes=[{"label": "cup", "frames": [0], "boxes": [[0, 0, 1, 1]]} | values])


@pytest.mark.parametrize(
    "kind, broken, reason",
    [
        ("clip", "{", "line 2, is no JSON"),
        ("clip", [1], "line 2, is no JSON object"),
        ("clip", {"split": "train"}, "line 2, has no 'path'; it has split"),
        ("clip", row(split="vall"), "line 2, names the split 'vall'"),
        ("clip", row(label=7), "line 2, has 7 for 'label'; it has to be a text"),
        ("clip", row(label=["a", ""]), "a name or a list of names"),
        ("segments", row(segments={}), "has {} for 'segments'; it has to be a list"),
        ("segments", row(segments=[{"start": 0, "end": "1"}]), r"segments\[0\], has '1' for 'end'"),
        ("segments", row(segments=[{"start": 2, "end": 2}]), "goes from 2.0 to 2.0 seconds"),
        ("segments", row(segments=[{"start": -1, "end": 2}]), "begins at -1.0 seconds"),
        (
            "segments",
            row(segments=[{"start": 0, "end": 1, "word": "a"}]),
            "has no 'label'; it has start, end, word; --config.data.manifest.segment_key names",
        ),
        ("segments", row(segments=[{"start": float("nan"), "end": 1}]), "has nan for 'start'"),
        ("segments", row(segments=[{"strat": 0, "end": 1}]), "'strat' may be misspelt"),
        ("boxes", track(label=None), r"boxes\[0\], has no 'label'"),
        ("boxes", track(frames=[0, 1]), "has 2 frames and 1 boxes"),
        ("boxes", track(frames=[0.5]), "has 1 frames and 1 boxes"),
        ("boxes", track(frames="all"), "has to list frames, and a box"),
        ("boxes", track(boxes=[[1, 2, 3]]), "has to list frames, and a box"),
        ("boxes", track(boxes=[[5, 0, 1, 1]]), "bottom is not below its top"),
        ("boxes", track(frames=[-1]), "before the first"),
        ("masks", row(masks=["a"]), "has .* for 'masks'; it has to be a text"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(folder, kind, broken, reason):
    write(folder, row(label="x", segments=[], boxes=[], masks=""), broken)
    with pytest.raises(DataError, match=reason) as caught:
        Source(str(folder), labels=kind, class_names="a").num_records("train")
    assert "manifest.jsonl" in str(caught.value)


def test_without_splits_it_says_what_to_add(folder):
    write(folder, {"path": "frames/a", "label": "x"}, {"path": "frames/b", "label": "y"})
    with pytest.raises(DataError, match='the rows name no split; add "split": "train"'):
        _ = Source(str(folder)).splits
    write(folder, {"path": "frames/a", "spilt": "train"})
    with pytest.raises(DataError, match="has path, spilt, where 'spilt' may be 'split' misspelt"):
        _ = Source(str(folder)).splits
    write(folder, row(label="x"), {"path": "frames/b", "label": "y"})
    with pytest.raises(DataError, match="1 of 2 rows, the first of them frames/b, name no split"):
        _ = Source(str(folder)).splits


def test_video_files_are_refused_in_a_sentence(folder):
    write(folder, row(label="x", path="videos/x.MP4"))
    source = Source(str(folder))
    assert source.classes == ("x",)
    with pytest.raises(DataError, match="videos/x.MP4, and video files cannot be read yet"):
        source.records("train")


def test_refuses_what_is_not_there(folder):
    for root in ("", str(folder), str(folder / "no.jsonl")):
        with pytest.raises(MissingData, match="a manifest was looked for"):
            _ = Source(root).classes
    write(folder)
    with pytest.raises(DataError, match="is empty"):
        _ = Source(str(folder)).classes
    write(folder, row(command="x"))
    with pytest.raises(
        DataError, match="no row of the training split has a label .*'label'. The row of frames/a"
    ) as caught:
        _ = Source(str(folder)).classes
    assert "--config.data.manifest.label_key names another key" in str(caught.value)
    write(folder, row(segments=[{"start": 0, "end": 1, "label": "x"}]))
    with pytest.raises(DataError, match="--config.data.manifest.labels=segments reads segments"):
        _ = Source(str(folder)).classes
    write(folder, row(segmants=[]))
    with pytest.raises(DataError, match="'segmants' may be 'segments' misspelt"):
        _ = Source(str(folder), labels="segments").classes
    with pytest.raises(DataError, match="no split 'test'"):
        Source(str(folder)).records("test")
    with pytest.raises(DataError, match="Did you mean 'segments'"):
        Source(str(folder), labels="segment")
    with pytest.raises(DataError, match="frames_per_second is 0"):
        Source(str(folder), frames_per_second=0.0)
    (folder / "manifest.jsonl").write_bytes(b'{"path": "\xff"}')
    with pytest.raises(DataError, match="no manifest in UTF-8"):
        _ = Source(str(folder)).classes


def test_classes_that_a_mirror_image_swaps(folder):
    write(folder, row(label="left"), row("b", label="right"), row("c", label="left turn"))
    source = Source(str(folder), swaps="left:right, left turn: left turn")
    assert source.flip_swaps == (("left", "right"), ("left turn", "left turn"))
    assert source.classes == ("left", "left turn", "right")
    assert flip_map(source.classes, source.flip_swaps).tolist() == [2, 1, 0]
    for wrong in ("left", "left:", "a:b:c", ","):
        with pytest.raises(DataError, match="such as left:right"):
            Source(str(folder), swaps=wrong)


def test_the_options_of_the_config_reach_the_source(folder):
    """And a name that is no source but a key of the config is refused."""
    write(folder, row(command="x"))
    words = ["data.name=manifest", f"data.root={folder}", "data.manifest.label_key=command"]
    words += ["data.manifest.class_names=road,ground", "data.manifest.frames_per_second=12.5"]
    config, _ = configs.override(base.build("manifest", network=dict), _flags(words))
    source = make_source(config)
    assert source.classes == ("x",) and source.class_names == "road,ground"
    assert source.records("train")[0].media.frames_per_second == 12.5
    config, _ = configs.override(base.defaults(), _flags(["data.name=stride"]))
    with pytest.raises(MissingData, match="no data source 'stride'"):
        make_source(config)
    config, _ = configs.override(base.defaults(), _flags([*words, "data.manifest.labels=clips"]))
    with pytest.raises(UserError, match="config.data.manifest: .*Did you mean 'clip'"):
        make_source(config)


def _flags(words):
    return [f"--config.{word}" for word in words]


def test_a_job_trains_on_a_manifest(folder, tiny, job):
    rows = []
    for split in ("train", "validation"):
        for clip in "ab":
            rows.append(row(clip, split, id=f"{split} {clip}", label=clip))
    write(folder, *rows)
    words = ["data.name=manifest", f"data.root={folder}", "batch_size=2"]
    job([*tiny, *_flags(words), "--workdir", folder / "run"])
    data = json.loads((folder / "run/data.json").read_text())
    assert data["classes"] == ["a", "b"] and data["train"][0] == 2
