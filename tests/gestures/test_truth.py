"""Phases, masks and boxes of the drawn clips against the poses and against their pictures."""

import os
from dataclasses import replace
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vidjax.data.media import MaskArray
from vidjax.data.readers.masks import read_masks
from vidjax.gestures import motions, scene, truth, write
from vidjax.gestures.source import Source
from vidjax.gestures.take import draw_take

MOTION_OF = {forward: row for row, (forward, _, _) in enumerate(motions.MOTIONS)}
RED, GREEN = np.array([255.0, 0, 0]), np.array([0, 255.0, 0])


def sequence(gesture, number=0):
    return write.Sequence(0, 0, MOTION_OF[gesture], number, 1, 2)


@cache
def number_where(gesture, wanted):
    """The first sequence of a gesture whose poses are as wanted."""
    return next(n for n in range(60) if wanted(write.draw_stage(sequence(gesture, n)).poses))


def has_two_hands(poses):
    return len(poses) == 2


def has_a_cup(poses):
    return any(pose.cup for pose in poses)


def sequences():
    """One of every motion, of two hands, and of a hand with a cup."""
    rows = [sequence(gesture) for gesture in MOTION_OF]
    rows.append(
        sequence("Rolling Hand Forward", number_where("Rolling Hand Forward", has_two_hands))
    )
    rows.append(sequence("Doing other things", number_where("Doing other things", has_a_cup)))
    return rows


def in_two_colours(stage):
    """The same stage with red hands; sleeves that reach to the wrist, cups and background green."""
    look = replace(stage.scene.look, back=RED, palm=RED, sleeve=GREEN, cup=GREEN, cuff=0.0)
    size = stage.scene.background.size
    still = Image.new(
        "RGB", (stage.scene.width + scene.SHEET, scene.HEIGHT + scene.SHEET), (128,) * 3
    )
    return write.Stage(
        replace(
            stage.scene,
            look=look,
            background=Image.new("RGB", size, (0, 255, 0)),
            light=Image.new("RGB", (stage.scene.width, scene.HEIGHT), (255,) * 3),
            noise=still,
            blur=0.0,
        ),
        stage.poses,
    )


@pytest.mark.parametrize("row", sequences()[::2], ids=lambda row: motions.MOTIONS[row.motion][0])
def test_masks_show_what_the_picture_shows(monkeypatch, row):
    """A pixel is of the hand where at least two of its four are; pictures agree where all are."""
    stage = in_two_colours(write.draw_stage(row))
    monkeypatch.setattr(truth, "draw_stage", lambda sequence: stage)
    hands = truth.draw_hands(row)
    assert hands.shape == (len(stage.scene.shake), scene.HEIGHT, stage.scene.width)
    for t, polygons in enumerate(stage.polygons()):
        drawing = Image.new("RGB", (2 * stage.scene.width, 2 * scene.HEIGHT), (0, 255, 0))
        for points, ink in polygons:
            ImageDraw.Draw(drawing).polygon(points, fill=ink)
        pixels = np.asarray(drawing).astype(int)
        is_red = (pixels[..., 0] > pixels[..., 1]).reshape(scene.HEIGHT, 2, -1, 2)
        covered = is_red.sum((1, 3))
        np.testing.assert_array_equal(hands[t] > 0, covered >= 2)

        picture = np.asarray(scene.draw_frame(stage.scene, t, polygons)).astype(int)
        red = picture[..., 0] > picture[..., 1]
        sure = (covered == 0) | (covered == 4)
        np.testing.assert_array_equal((hands[t] > 0)[sure], red[sure])


def test_masks_of_the_set_lie_on_the_pictures_of_the_set():
    """A hand moves with the camera's shake: its skin is where the mask is, not beside it."""
    row = sequence("Swiping Down", 1)
    hands = truth.draw_hands(row) > 0
    picture = np.stack([np.asarray(Image.open(BytesIO(frame))) for frame in write.render(row)])
    skin = write.draw_stage(row).scene.look.palm
    near_skin = np.abs(picture - skin).sum(-1)
    inside = near_skin[hands].mean()
    for axis, shift in [(1, 6), (1, -6), (2, 6), (2, -6)]:
        assert near_skin[np.roll(hands, shift, axis)].mean() > inside


def drawings(scene_of_stage, poses):
    """The silhouettes of hands at the size of the drawing, uint8 [T, H, W]."""
    frames = []
    for polygons in write.Stage(scene_of_stage, poses).polygons(silhouette=True):
        drawing = Image.new("L", (2 * scene_of_stage.width, 2 * scene.HEIGHT))
        for points, ink in polygons:
            ImageDraw.Draw(drawing).polygon(points, fill=ink)
        frames.append(np.asarray(drawing))
    return np.stack(frames)


def test_what_covers_a_hand_is_no_hand():
    """The nearer of two hands keeps all its pixels, also from the other hand's arm."""
    number = number_where("Rolling Hand Forward", has_two_hands)
    row = sequence("Rolling Hand Forward", number)
    stage, hands = write.draw_stage(row), truth.draw_hands(row)
    both = drawings(stage.scene, stage.poses)
    alone = [drawings(stage.scene, [pose]) == 1 for pose in stage.poses]
    num_covered = 0
    for t in range(len(both)):
        near = int(stage.poses[1].scale[t] > stage.poses[0].scale[t])
        np.testing.assert_array_equal(both[t] == near + 1, alone[near][t])
        num_covered += (alone[1 - near][t] & (both[t] != 2 - near)).sum()
    assert num_covered > 0
    # A pixel is the hand's that has most of it.
    for hand in (1, 2):
        covered = (both == hand).reshape(len(both), scene.HEIGHT, 2, -1, 2).sum((2, 4))
        assert (hands[covered > 2] == hand).all() and (hands[covered == 0] != hand).all()


def test_boxes_are_tight():
    number = number_where("Rolling Hand Forward", has_two_hands)
    hands = truth.draw_hands(sequence("Rolling Hand Forward", number))
    tracks = truth.tracks(hands)
    assert [track.label for track in tracks] == ["hand", "hand"]
    for hand, track in enumerate(tracks, 1):
        boxes = dict(zip(track.frames.tolist(), track.boxes.tolist(), strict=True))
        assert track.frames.dtype == np.int32 and track.boxes.dtype == np.float32
        for t, frame in enumerate(hands):
            y, x = np.nonzero(frame == hand)
            if len(y) < truth.MIN_PIXELS:
                assert t not in boxes
            else:
                assert boxes[t] == [y.min(), x.min(), y.max() + 1, x.max() + 1]


def test_a_hand_that_is_hardly_seen_has_no_box():
    hands = np.zeros((3, 20, 20), np.uint8)
    hands[0, 4, :11] = 1
    assert truth.tracks(hands) == ()
    hands[1, 4, :12] = 1
    (track,) = truth.tracks(hands)
    assert track.frames.tolist() == [1] and track.boxes.tolist() == [[4, 0, 5, 12]]
    assert truth.tracks(hands * 0) == ()


def poses_without_wobble(row):
    _, num_frames = write.draw_size(row.seed, row.split, row.number)
    _, take_rng, motion_rng = write.generators(row)
    take = draw_take(take_rng, num_frames)
    still = replace(take, wobble=take.wobble * 0)
    return take, motions.MOTIONS[row.motion][2](still, motion_rng)


@pytest.mark.parametrize("gesture", [g for g in MOTION_OF if g != "No gesture"])
def test_phases_are_those_of_the_take(gesture):
    """Before the take's motion all is still, and behind it, too."""
    for number in range(4):
        row = sequence(gesture, number)
        take, poses = poses_without_wobble(row)
        idle, stroke, back = truth.phases(row)
        assert (idle.label, stroke.label, back.label) == ("idle", "stroke", "return")
        assert idle.start == 0 and back.end == take.num_frames / 12
        assert idle.end == stroke.start and stroke.end == back.start
        first, end = round(stroke.start * 12), round(stroke.end * 12)
        assert (first / 12, end / 12) == (stroke.start, stroke.end)
        # The pace of a take is 0 before its motion and 1 behind it.
        assert (take.pace[:first] == 0).all() and take.pace[first] > 0
        assert end <= np.flatnonzero(take.pace < 1).max() + 1
        if gesture not in ("Thumb Up", "Stop Sign"):  # they arrive, and then stay
            assert take.pace[end - 1] < 1 and take.pace[end] == 1
        for pose in poses:
            assert (pose.centre[end:] == pose.centre[-1]).all(), "moves after the stroke"


def test_phases_of_the_same_frames_backwards():
    row = sequence("Swiping Left", 2)
    _, num_frames = write.draw_size(0, 0, 2)
    forward, backward = truth.phases(row), truth.phases(row, backward=True)
    lengths = [round((s.end - s.start) * 12) for s in forward]
    assert [round((s.end - s.start) * 12) for s in backward] == lengths[::-1]
    assert [s.label for s in backward] == ["idle", "stroke", "return"]
    assert sum(lengths) == num_frames and len(set(lengths)) == 3


def test_no_gesture_is_idle_throughout():
    counts = set()
    for number in range(6):
        row = sequence("No gesture", number)
        (idle,) = truth.phases(row)
        _, num_frames = write.draw_size(0, 0, number)
        assert (idle.start, idle.end, idle.label) == (0, num_frames / 12, "idle")
        counts.add(len(write.draw_stage(row).poses))
    assert counts == {0, 1}  # with and without a hand


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The set with one clip for each gesture, of which four are kept."""
    source = Source(
        cache_dir=str(tmp_path_factory.mktemp("cache")),
        train_clips=1,
        validation_clips=0,
        num_classes=4,
    )
    source.prepare(workers=1)
    return source


def test_gestures_alone_draw_no_truth(small):
    for labels in ("gesture", "attributes", "phases"):
        replace(small, labels=labels).records("train")
    assert not os.path.exists(small.truth_folder)


def test_phases_of_the_source(small):
    source = replace(small, labels="phases")
    assert source.classes == ("idle", "stroke", "return") and source.flip_swaps == ()
    assert source.num_records("train") == 4 and "phases" in source.about
    plan = {row.forward: (row, False) for row in write.plan(0, (1, 0))}
    plan |= {row.backward: (row, True) for row in write.plan(0, (1, 0))}
    for record, plain in zip(source.records("train"), small.records("train"), strict=True):
        assert (record.id, record.label, record.media) == (plain.id, plain.label, plain.media)
        row, backward = plan[int(record.id)]
        assert record.segments == truth.phases(row, backward=backward)
        assert record.segments[-1].end == record.media.num_frames / 12
        assert not record.boxes and record.masks is None


def test_masks_and_boxes_of_the_source(small):
    masks, boxes = replace(small, labels="masks"), replace(small, labels="boxes")
    assert masks.classes == ("background", "hand") and boxes.classes == ("hand",)
    assert masks.flip_swaps == boxes.flip_swaps == ()
    by_label = {}
    for masked, boxed in zip(masks.records("train"), boxes.records("train"), strict=True):
        assert masked.id == boxed.id and masked.label == boxed.label in small.classes
        assert isinstance(masked.masks, MaskArray)
        assert masked.segments == () and masked.boxes is None
        by_label[masked.label] = (masked, boxed)
    opposite = {"Swiping Left": "Swiping Right", "Swiping Down": "Swiping Up"}
    for gesture, other in opposite.items():
        arrays, tracks = [], []
        for label in (gesture, other):
            masked, boxed = by_label[label]
            arrays.append(np.load(masked.masks.path)["mask"])
            tracks.append(boxed.boxes[0])
        with Image.open(masked.media.path(0)) as image:
            assert arrays[0].shape == (masked.media.num_frames, image.height, image.width)
        assert arrays[0].dtype == np.uint8 and set(np.unique(arrays[0])) == {0, 1}
        np.testing.assert_array_equal(arrays[0], arrays[1][::-1])
        np.testing.assert_array_equal(tracks[0].boxes, tracks[1].boxes[::-1])
        last = len(arrays[0]) - 1
        np.testing.assert_array_equal(tracks[0].frames, last - tracks[1].frames[::-1])
        assert truth.tracks(arrays[0])[0].boxes.tolist() == tracks[0].boxes.tolist()
    read = read_masks(masked.masks, [0, last], box=(0, 0, 100, 100), size=20)
    assert read.shape == (2, 20, 20)


def test_truth_is_made_once_and_whole(small, monkeypatch):
    folder = small.prepare_truth(workers=1)
    names = sorted(os.listdir(folder))
    assert names == ["boxes.jsonl", "masks"] and len(os.listdir(f"{folder}/masks")) == 27
    monkeypatch.setattr(truth, "write", lambda *arguments, **options: pytest.fail("drawn again"))
    assert replace(small, labels="boxes").prepare_truth() == folder
    left = [name for name in os.listdir(small.cache_dir) if ".part-" in name]
    assert left == []
