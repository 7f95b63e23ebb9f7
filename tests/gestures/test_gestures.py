"""The synthetic gesture set: its labels, its bytes, its pairs, and what must not tell the class."""

import hashlib
import io
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidjax.core.errors import DataError
from vidjax.data.labels import flip_map
from vidjax.gestures import attributes, hand, motions, scene, write
from vidjax.gestures.source import Source
from vidjax.gestures.take import draw_take

# Jester's labels in file order, and the opposite of each under time reversal
LABELS = [
    "Swiping Left",
    "Swiping Right",
    "Swiping Down",
    "Swiping Up",
    "Pushing Hand Away",
    "Pulling Hand In",
    "Sliding Two Fingers Left",
    "Sliding Two Fingers Right",
    "Sliding Two Fingers Down",
    "Sliding Two Fingers Up",
    "Pushing Two Fingers Away",
    "Pulling Two Fingers In",
    "Rolling Hand Forward",
    "Rolling Hand Backward",
    "Turning Hand Clockwise",
    "Turning Hand Counterclockwise",
    "Zooming In With Full Hand",
    "Zooming Out With Full Hand",
    "Zooming In With Two Fingers",
    "Zooming Out With Two Fingers",
    "Thumb Up",
    "Thumb Down",
    "Shaking Hand",
    "Stop Sign",
    "Drumming Fingers",
    "No gesture",
    "Doing other things",
]
OPPOSITE = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14, 17, 16, 19, 18, *range(20, 27)]


def hashes(folder):
    files = sorted(
        path
        for path in Path(folder).rglob("*")
        if path.is_file() and path.suffix in (".jpg", ".csv")
    )
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def clip_bytes(record):
    media = record.media
    return [Path(media.path(i)).read_bytes() for i in range(media.num_frames)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    source = Source(
        cache_dir=str(tmp_path_factory.mktemp("cache")), train_clips=1, validation_clips=0
    )
    source.prepare(workers=1)
    return source


def test_all_classes_in_file_order(small):
    assert list(small.classes) == LABELS
    records = small.records("train")
    assert sorted(r.label for r in records) == sorted(LABELS)
    assert len(records) == small.num_records("train")
    assert small.quarantine("train") == []
    assert "synthetic" in small.about and small.synthetic
    assert Path(small.folder, "jester-v1-labels.csv").read_text().splitlines() == LABELS
    assert "synthetic" in Path(small.folder, "README.txt").read_text()


def test_sizes(small):
    for record in small.records("train"):
        media = record.media
        assert 24 <= media.num_frames <= 40 and media.frames_per_second == 12
        assert media.numbers == range(1, media.num_frames + 1)
        with Image.open(media.path(0)) as image:
            assert image.mode == "RGB" and image.height == 100
            assert image.width in (176, 132, 100, 142, 122, 106)
    sizes = [len(data) for record in small.records("train") for data in clip_bytes(record)]
    assert 1500 < np.mean(sizes) < 6000


def test_opposites_hold_the_same_frames_backwards(small):
    by_label = {record.label: record for record in small.records("train")}
    paired = [(LABELS[k], LABELS[o]) for k, o in enumerate(OPPOSITE) if k < o]
    assert len(paired) == 10
    for label, opposite in paired:
        frames = clip_bytes(by_label[label])
        assert frames == clip_bytes(by_label[opposite])[::-1]
        assert len(set(frames)) == len(frames)
        assert by_label[label].id != by_label[opposite].id


def test_any_number_of_workers_writes_the_same_bytes(small, tmp_path):
    two = Source(cache_dir=str(tmp_path), train_clips=1, validation_clips=0)
    two.prepare(workers=2)
    assert hashes(two.folder) == hashes(small.folder)


def test_other_seed_split_and_number_differ():
    first = write.render(write.Sequence(0, 0, 0, 0, 1, None))
    assert first == write.render(write.Sequence(0, 0, 0, 0, 9, 10))  # ids are names, not seeds
    for other in [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)]:
        assert first[0] != write.render(write.Sequence(*other, 1, None))[0]


def test_size_and_length_do_not_tell_the_class(small):
    counts = {}
    for record in small.records("train"):
        with Image.open(record.media.path(0)) as image:
            size = (image.width, record.media.num_frames)
            counts.setdefault(record.label, []).append(size)
    assert len(set(map(tuple, counts.values()))) == 1 and len(counts) == 27
    sizes = [write.draw_size(0, 0, number) for number in range(400)]
    assert 0.6 < np.mean([width == 176 for width, _ in sizes]) < 0.85
    assert len({frames for _, frames in sizes}) > 10


def test_take_is_even_in_time_and_sides():
    takes = [draw_take(np.random.default_rng(k), 32) for k in range(400)]
    phases = np.stack([take.phase for take in takes])
    np.testing.assert_allclose(phases.mean(0), 1 - phases.mean(0)[::-1], atol=0.03)
    assert abs(np.mean([take.side for take in takes])) < 0.2


def centre_of_change(frames):
    """Where the pictures differ from the median picture: [T, 2] (x, y) from -1 to 1."""
    video = np.stack(
        [np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.float32) for data in frames]
    )
    weight = (np.abs(video - np.median(video, 0)) > 30).astype(np.float32) + 1e-6
    y, x = np.linspace(-1, 1, video.shape[1]), np.linspace(-1, 1, video.shape[2])
    total = weight.sum((1, 2))
    return np.stack(
        [(weight * x).sum((1, 2)) / total, (weight * y[:, None]).sum((1, 2)) / total], -1
    )


@pytest.mark.parametrize("motion, axis, sign", [(0, 0, -1), (1, 1, 1), (3, 0, -1), (4, 1, 1)])
def test_directions_are_the_viewers(motion, axis, sign):
    moved = [
        centre_of_change(write.render(write.Sequence(0, 0, motion, number, 1, None)))
        for number in range(3)
    ]
    change = [track[-3:, axis].mean() - track[:3, axis].mean() for track in moved]
    assert sign * np.median(change) > 0.2


def box_sums(pose, look):
    """Sums over the polygons of each frame, [T, 5]: left, top, right, bottom, and their number."""
    sums = []
    for drawn in hand.shapes(pose, look):
        boxes = [
            (*p.min(0), *p.max(0), 1) for p in (np.reshape(points, (-1, 2)) for points, _ in drawn)
        ]
        sums.append(np.sum(boxes, 0))
    return np.array(sums)


@pytest.mark.parametrize("row", [0, 4, 6, 7, 8, 12])
def test_the_mirror_of_a_hand_is_the_other_hand(row):
    rng = np.random.default_rng(3)
    pose = motions.MOTIONS[row][2](draw_take(rng, 8), rng)[0]
    look = scene.draw_look(rng)
    turned = {name: -getattr(pose, name) for name in ("lean", "roll", "yaw", "side")}
    mirror = replace(pose, centre=pose.centre * (-1, 1), **turned)
    mirrored = box_sums(mirror, replace(look, light=look.light * (-1, 1, 1)))
    np.testing.assert_allclose(
        mirrored[:, [2, 1, 0, 3, 4]] * (-1, 1, -1, 1, 1), box_sums(pose, look), atol=1e-6
    )


def test_turning_and_rolling_go_the_way_they_are_called():
    rng = np.random.default_rng(0)
    for _ in range(5):
        take = draw_take(rng, 32)
        (pose,) = motions.turn_clockwise(take, rng)
        fingers = []
        for polygons in hand.shapes(pose, scene.draw_look(rng)):
            nearest = [np.reshape(points, (-1, 2)) for points, _ in polygons[-40:]]
            fingers.append(np.concatenate(nearest))
        first, last = (fingers[t].mean(0) - pose.centre[t] for t in (0, -1))
        assert (
            first[0] * last[1] - first[1] * last[0] > 0 and first[0] < last[0]
        )  # y is down: clockwise
        for pose in motions.roll_forward(take, rng):
            speed = np.gradient(pose.centre[:, 1])
            nearest = int(pose.scale[8:24].argmax()) + 8
            assert speed[nearest] > 0 or pose.scale[nearest] < pose.scale.max()


def test_attributes_are_two_labels_of_the_same_clips(small):
    """A shape and a direction each, from the drawings that the gestures have."""
    source = replace(small, labels="attributes")
    assert source.folder == small.folder
    assert source.classes == attributes.names(tuple(LABELS))
    assert source.num_records("train") == 27
    for record, gesture in zip(source.records("train"), small.records("train"), strict=True):
        assert record.label == attributes.ATTRIBUTES[gesture.label]
        assert (record.id, record.media) == (gesture.id, gesture.media)
    assert flip_map(source.classes, source.flip_swaps).tolist() != list(range(len(source.classes)))
    assert "shape and direction" in source.about


def test_attributes_of_a_few_gestures():
    source = Source(num_classes=2, labels="attributes")
    assert source.classes == ("shape: whole hand", "direction: left", "direction: right")
    assert source.flip_swaps == (("direction: left", "direction: right"),)
    assert len(Source(num_classes=20, labels="attributes").flip_swaps) == 2
    with pytest.raises(DataError, match="Did you mean 'attributes'"):
        Source(labels="attribute")


def test_half_written_set_is_not_used(tmp_path):
    source = Source(cache_dir=str(tmp_path), train_clips=0, validation_clips=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "_write_lists", lambda *args: sys.exit(143))
        with pytest.raises(SystemExit):
            source.prepare(workers=1)
    assert not os.path.exists(source.folder)
    prefix = f"{os.path.basename(source.folder)}.part-{socket.gethostname()}-"
    killed = tmp_path / f"{prefix}killed"
    (killed / write.FOLDER / "1").mkdir(parents=True)
    source.prepare(workers=1)
    assert len(source.records("validation")) == 27
    assert not killed.exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        os.path.basename(source.folder)
    ]


def test_describes_without_rendering(tmp_path):
    source = Source(cache_dir=str(tmp_path))
    assert (source.num_records("train"), source.num_records("validation")) == (1890, 540)
    assert source.splits == ("train", "validation") and list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="no split 'test'"):
        source.num_records("test")
    with pytest.raises(DataError, match="data.cache_dir"):
        Source().prepare()
    with pytest.raises(DataError, match="positive number"):
        Source(train_clips=0, validation_clips=0)


def test_workers_import_neither_tensorflow_nor_jax():
    code = (
        "import sys, vidjax.gestures.truth; print({'tensorflow', 'jax', 'flax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
