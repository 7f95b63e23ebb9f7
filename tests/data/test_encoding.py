"""Labels that are made from masks and boxes, through the iterators of batches that a job uses."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vidjax.core.errors import DataError
from vidjax.data import pipeline
from vidjax.data.clips import ClipSpec
from vidjax.data.media import Frames, MaskArray
from vidjax.data.records import Record, Segment, Track

HEIGHT, WIDTH, NUM_FRAMES = 20, 28, 5
SPEC = ClipSpec(
    num_frames=3,
    sampling="window",
    stride=1,
    stride_jitter=0,
    short="clamp",
    size=10,
    resize=10,
    crop="random_resized",
    crop_area=(0.5, 1.0),
    crop_ratio=(0.75, 4 / 3),
    crop_scales=(1.0,),
    decode_threads=2,
)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Six clips whose grey says the class: 40 times it. The left half of a mask is class 0."""
    clips = []
    for clip in range(6):
        folder = tmp_path_factory.mktemp("clip")
        masks = np.zeros((NUM_FRAMES, HEIGHT, WIDTH), np.uint8)
        masks[:, :, WIDTH // 2 :] = np.arange(1, NUM_FRAMES + 1)[:, None, None]
        for number, mask in enumerate(masks):
            Image.fromarray(mask * 40).save(folder / f"{number}.png")
        np.savez_compressed(folder / "masks.npz", mask=masks)
        media = Frames(str(folder), range(NUM_FRAMES), 1, ".png", 12.0)
        clips.append(Record(f"clip{clip}", "a", media, masks=MaskArray(str(folder / "masks.npz"))))
    return clips


def encode_masks(record, positions, box, size, masks):
    """The masks as a task of segmentation takes them."""
    if masks is None:
        return np.full((len(positions), size, size), 255, np.uint8)
    return masks()


def train(records, encode, **settings):
    arguments = {"batch_size": 4, "seed": 0, "start_step": 0, "num_steps": 3} | settings
    return pipeline.train_batches(records, SPEC, encode=encode, **arguments)


def test_masks_follow_the_frames_and_the_crop_of_the_video(records):
    for batch in train(records, encode_masks):
        label, video = batch["label"], batch["video"][..., 0]
        assert label.shape == (4, 3, 10, 10) and label.dtype == np.uint8
        # Two columns beside the edge are mixtures.
        edges = np.argmax(label > 0, -1)[..., None]
        calm = abs(np.arange(10) - edges + 0.5) > 1.5
        np.testing.assert_array_equal(label[calm] * 40, video[calm])


def test_masks_are_read_in_threads_and_only_when_asked_for(records, tmp_path):
    threads = set()

    def encode(record, positions, box, size, masks):
        assert callable(masks)
        threads.add(threading.current_thread())
        return np.int32(0)

    broken = [replace(record, masks=MaskArray(str(tmp_path / "no"))) for record in records]
    assert [len(batch["label"]) for batch in train(broken, encode)] == [4, 4, 4]
    assert threading.main_thread() not in threads


def test_a_clip_without_masks_has_none(records):
    mixed = [replace(records[0], masks=None), records[1]]
    (batch,) = pipeline.eval_batches(mixed, SPEC, encode=encode_masks, batch_size=2)
    assert (batch["label"][0] == 255).all() and (batch["label"][1] < 6).all()


def test_padding_reads_no_masks(records):
    """Also in a process without a clip, for frames that are smaller than the video."""
    missing = [replace(records[0], masks=MaskArray("nowhere.npz"))]
    spec = replace(SPEC, size=64, resize=64)
    (batch,) = pipeline.eval_batches(
        missing, spec, encode=encode_masks, batch_size=2, process_index=1, process_count=2
    )
    assert batch["label"].shape == (1, 3, 64, 64) and not batch["label"].any()
    assert batch["label"].dtype == np.uint8


def test_a_bad_mask_names_clip_and_file(records, tmp_path):
    (tmp_path / "bad.npz").write_text("no masks")
    clips = [*records[:2], replace(records[2], masks=MaskArray(str(tmp_path / "bad.npz")))]
    batches = pipeline.eval_batches(clips, SPEC, encode=encode_masks, batch_size=2)
    next(batches)
    with pytest.raises(DataError) as caught:
        next(batches)
    message = str(caught.value)
    assert "clip2" in message and str(tmp_path) in message and "no readable .npz" in message
    assert len(message.splitlines()) <= 5


def test_masks_of_twice_the_size_are_refused(records, tmp_path):
    """They would be cropped at other places than the frames, and nobody would see it."""
    large = np.zeros((NUM_FRAMES, 2 * HEIGHT, 2 * WIDTH), np.uint8)
    np.savez_compressed(tmp_path / "large.npz", mask=large)
    clips = [replace(records[0], masks=MaskArray(str(tmp_path / "large.npz")))]
    batches = pipeline.eval_batches(clips, SPEC, encode=encode_masks, batch_size=1)
    with pytest.raises(DataError, match="clip0 .* masks of 56 x 40 .* the frames are 28 x 20"):
        next(batches)


def test_the_crop_box_takes_boxes_into_the_video(records):
    """The box of the right half comes to the columns in which the video is bright."""
    track = Track("right", np.arange(5, dtype=np.int32), np.tile([0, 14, 20, 28], (5, 1)))

    def encode(record, positions, box, size, masks):
        _, left, _, width = box
        return np.float32((record.boxes[0].boxes[positions, 1] - left) * size / width)

    clips = [replace(record, masks=None, boxes=(track,)) for record in records]
    for batch in train(clips, encode):
        bright = batch["video"][..., 5, :, 0] > batch["video"].max((2, 3, 4))[..., None] / 2
        edges = np.argmax(bright, -1)
        assert abs(batch["label"] - edges).max() <= 0.5


def test_records_compare_and_hash():
    track = Track("a", np.arange(2), np.zeros((2, 4)))
    segments = (Segment(0.0, 1.0, "a"),)
    record = Record("1", "a", Frames("f", range(2), 1, ".png", 12.0), segments, (track,))
    assert record == replace(record) and hash(record) == hash(replace(record))
    assert record != replace(record, segments=())
