"""Order, splits over processes, resuming, padding, and errors, through the iterators a job uses."""

import sys
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from vidjax.core.errors import DataError
from vidjax.data import pipeline, readers, sampling
from vidjax.data.lazy_tensorflow import import_tensorflow
from vidjax.data.media import Frames
from vidjax.data.records import Record

CLASSES = ("a", "b", "c")
# What the tests begin with: each replaces the fields that it is about.
SPEC = pipeline.ClipSpec(
    num_frames=2,
    sampling="window",
    stride=1,
    stride_jitter=0,
    short="clamp",
    size=8,
    resize=8,
    crop="random_resized",
    crop_area=(0.5, 1.0),
    crop_ratio=(0.75, 4 / 3),
    crop_scales=(1.0, 0.875, 0.75, 0.66),
    decode_threads=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One clip of four frames, each of one grey: the frame number times 40."""
    folder = tmp_path_factory.mktemp("clip")
    for number in range(1, 5):
        Image.new("RGB", (12, 10), (number * 40,) * 3).save(
            folder / f"{number:05d}.jpg", quality=95
        )
    return folder


def make_records(folder, n):
    media = Frames(str(folder), range(1, 5), 5, ".jpg", 12.0)
    return [Record(f"clip{i}", CLASSES[i % 3], media) for i in range(n)]


def encode(record, positions, box, size, masks):
    """The index of the class, as a task of classification encodes it."""
    return np.int32(CLASSES.index(record.label) if record.label else -1)


def evaluate(records, spec=SPEC, **settings):
    return pipeline.eval_batches(records, spec, encode=encode, **settings)


def train(records, batch_size=8, start_step=0, num_steps=6, processes=1, spec=SPEC, seed=3):
    """The global batches: those of all processes, side by side."""
    parts = [
        pipeline.train_batches(
            records,
            spec,
            encode=encode,
            seed=seed,
            batch_size=batch_size,
            start_step=start_step,
            num_steps=num_steps,
            process_index=k,
            process_count=processes,
        )
        for k in range(processes)
    ]
    return [
        {key: np.concatenate([part[key] for part in batch]) for key in batch[0]}
        for batch in zip(*parts, strict=True)
    ]


def assert_same(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for key in batch:
            np.testing.assert_array_equal(batch[key], other[key], err_msg=key)


def test_batch_table(folder):
    (batch,) = train(make_records(folder, 5), batch_size=4, num_steps=1)
    found = {key: (value.dtype.name, value.shape) for key, value in batch.items()}
    assert found == {
        "video": ("uint8", (4, 2, 8, 8, 3)),
        "label": ("int32", (4,)),
        "mask": ("float32", (4,)),
        "id": ("int32", (4,)),
        "draw": ("uint32", (4,)),
    }


def test_order_and_draws_are_the_permutations(folder):
    """Steps straddle epochs, and each epoch has every clip once, in its permutation."""
    records = make_records(folder, 13)
    batches = train(records, batch_size=8, num_steps=5)
    ids = np.concatenate([batch["id"] for batch in batches])
    expected = np.concatenate([sampling.permutation(3, epoch, 13) for epoch in range(4)])[:40]
    np.testing.assert_array_equal(ids, expected)
    draws = np.concatenate([sampling.draws(3, p // 13, expected[p : p + 1]) for p in range(40)])
    np.testing.assert_array_equal(np.concatenate([batch["draw"] for batch in batches]), draws)
    np.testing.assert_array_equal(np.concatenate([batch["label"] for batch in batches]), ids % 3)
    for step, batch in enumerate(batches):
        np.testing.assert_array_equal(
            pipeline.train_clips(step, 13, seed=3, batch_size=8), batch["id"]
        )


def test_a_batch_may_hold_several_epochs(folder):
    (batch,) = train(make_records(folder, 3), batch_size=8, num_steps=1)
    assert np.bincount(batch["id"]).sum() == 8 and set(batch["id"]) == {0, 1, 2}
    assert len(set(batch["draw"])) == 8


@pytest.mark.parametrize(
    "spec", [replace(SPEC, stride_jitter=1), replace(SPEC, sampling="segments", crop="multi_scale")]
)
def test_the_same_on_any_number_of_processes(folder, spec):
    records = make_records(folder, 13)
    one = train(records, num_steps=4, spec=spec)
    for processes in (2, 4):
        assert_same(train(records, num_steps=4, processes=processes, spec=spec), one)


def test_resumes_at_any_step(folder):
    records = make_records(folder, 11)
    whole = train(records, batch_size=4, num_steps=6)
    for start in (0, 1, 3, 6):
        assert_same(train(records, batch_size=4, start_step=start, num_steps=6), whole[start:])


def test_frames_are_those_that_sampling_chose(folder):
    spec = replace(SPEC, sampling="segments", num_frames=3)
    for batch in train(make_records(folder, 10), num_steps=2, spec=spec):
        for video, draw in zip(batch["video"], batch["draw"], strict=True):
            chosen = sampling.segments(4, 3, draw=int(draw))
            assert np.abs(video.mean((1, 2, 3)) - (chosen + 1) * 40).max() < 3


def test_gaps_digits_and_suffix_make_the_file_names(tmp_path):
    for number in (3, 7, 20):
        Image.new("RGB", (8, 8), (number * 10,) * 3).save(tmp_path / f"{number:03d}.png")
    record = Record("gaps", "", Frames(str(tmp_path), (3, 7, 20), 3, ".png", 12.0))
    (batch,) = evaluate([record], replace(SPEC, num_frames=3), batch_size=1)
    np.testing.assert_array_equal(batch["video"][0, :, 0, 0, 0], [30, 70, 200])
    assert batch["label"].tolist() == [-1] and batch["mask"].tolist() == [1]


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_evaluation_counts_997_as_997(folder, processes):
    records = make_records(folder, 997)
    counted, num_batches, shapes = [], set(), set()
    for k in range(processes):
        batches = list(evaluate(records, batch_size=128, process_index=k, process_count=processes))
        num_batches.add(len(batches))
        for batch in batches:
            shapes.add(batch["video"].shape)
            real = batch["mask"] == 1
            counted += batch["id"][real].tolist()
            np.testing.assert_array_equal(batch["label"][real], batch["id"][real] % 3)
            assert (batch["id"][~real] == -1).all() and not batch["mask"][~real].any()
            assert not batch["label"][~real].any() and not batch["video"][~real].any()
            assert (batch["video"][real].mean((1, 2, 3, 4)) > 30).all()
    assert sorted(counted) == list(range(997))
    assert num_batches == {8} and shapes == {(128 // processes, 2, 8, 8, 3)}


def test_a_process_without_clips_gets_padding(folder):
    batches = [
        list(evaluate(make_records(folder, 5), batch_size=4, process_index=k, process_count=4))
        for k in range(4)
    ]
    assert [[int(batch["mask"].sum()) for batch in part] for part in batches] == [
        [1, 1],
        [1, 0],
        [1, 0],
        [1, 0],
    ]
    assert_same(batches[1][1:], batches[3][1:])


def test_evaluation_keeps_the_order_of_the_list(folder):
    batches = list(evaluate(make_records(folder, 7), batch_size=4))
    assert [batch["id"].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, -1]]


def test_bad_frame_names_clip_and_file(folder, tmp_path):
    records = make_records(folder, 6)
    (tmp_path / "00001.jpg").write_bytes(b"\xff\xd8\xff but no more")
    records[4] = Record("broken", "a", Frames(str(tmp_path), range(1, 2), 5, ".jpg", 12.0))
    batches = evaluate(records, batch_size=2)
    assert next(batches)["id"].tolist() == [0, 1]
    assert next(batches)["id"].tolist() == [2, 3]
    with pytest.raises(DataError) as caught:
        next(batches)
    message = str(caught.value)
    assert "broken" in message and str(tmp_path) in message and "00001.jpg" in message
    assert len(message.splitlines()) <= 5
    with pytest.raises(DataError, match="00001.jpg"):
        train(records, batch_size=6, num_steps=1)


def test_iterators_close(folder):
    batches = pipeline.train_batches(
        make_records(folder, 20),
        SPEC,
        encode=encode,
        seed=0,
        batch_size=4,
        start_step=0,
        num_steps=10**9,
    )
    next(batches)
    batches.close()
    with pytest.raises(StopIteration):
        next(batches)


def test_a_list_without_clips_is_refused_at_once():
    with pytest.raises(DataError, match="no clips"):
        train([], batch_size=4, num_steps=1)
    with pytest.raises(DataError, match="no clips"):
        evaluate([], batch_size=4)


def test_encode_gets_what_the_clip_was_made_of(folder):
    """Positions and box are those of sampling for the clip's draw, in the order of the rows."""
    spec = replace(SPEC, sampling="segments", num_frames=3)
    calls = []

    def remember(*arguments):
        calls.append(arguments)
        return np.float32(len(calls))

    records = make_records(folder, 5)
    batches = pipeline.train_batches(
        records, spec, encode=remember, seed=3, batch_size=4, start_step=0, num_steps=3
    )
    for batch in batches:
        assert batch["label"].dtype == np.float32
        for label, clip, draw in zip(batch["label"], batch["id"], batch["draw"], strict=True):
            record, positions, box, size, masks = calls[int(label) - 1]
            assert record is records[clip] and size == 8 and masks is None
            assert positions.dtype == np.int32
            np.testing.assert_array_equal(positions, sampling.segments(4, 3, draw=int(draw)))
            area, ratio = spec.crop_area, spec.crop_ratio
            assert box == sampling.random_resized_crop(
                10, 12, area=area, ratio=ratio, draw=int(draw)
            )
    assert len(calls) == 12


def test_labels_of_any_shape_are_padded_with_zeros(folder):
    """Also for a process that gets no clip at all, which has to know shape and type."""

    def two_hot(record, positions, box, size, masks):
        return np.ones(2, np.float32)

    records = make_records(folder, 1)
    for k, expected in enumerate(([[1, 1], [0, 0]], [[0, 0], [0, 0]])):
        (batch,) = pipeline.eval_batches(
            records, SPEC, encode=two_hot, batch_size=4, process_index=k, process_count=2
        )
        assert batch["label"].dtype == np.float32 and batch["label"].tolist() == expected


@dataclass(frozen=True)
class Numbers:
    """A kind of media that no room knows: frame i of the clip is i times `step` everywhere."""

    step: int
    num_frames: int = 5
    location: str = "nowhere"


def test_another_kind_of_media_is_one_reader(monkeypatch):
    """The pipeline reads what a module of the media's name in readers/ tells it to."""

    def read(request, *, num_frames, choose_box, size):
        tf = import_tensorflow()
        box = choose_box(tf.constant(10), tf.constant(12))
        values = tf.cast(tf.strings.to_number(request, tf.int32), tf.uint8)
        return tf.tile(values[:, None, None, None], [1, size, size, 3]), box

    reader = ModuleType("numbers")
    reader.request = lambda media, positions: [b"%d" % (i * media.step) for i in positions]
    reader.read = read
    monkeypatch.setitem(sys.modules, f"{readers.__name__}.numbers", reader)
    records = [Record("ones", "a", Numbers(1)), Record("tens", "b", Numbers(10))]
    (batch,) = evaluate(records, replace(SPEC, num_frames=4, size=6), batch_size=2)
    assert batch["video"].shape == (2, 4, 6, 6, 3) and batch["label"].tolist() == [0, 1]
    np.testing.assert_array_equal(batch["video"][:, :, 3, 2, 1], [[0, 1, 2, 3], [0, 10, 20, 30]])


def test_batch_size_is_a_multiple_of_the_processes(folder):
    with pytest.raises(DataError, match="multiple of the 4 processes"):
        evaluate(make_records(folder, 5), batch_size=6, process_count=4)


@pytest.mark.parametrize(
    "change,match",
    [
        ({"sampling": "segment"}, "Did you mean 'segments'"),
        ({"crop": "center"}, "Did you mean 'centre'"),
        ({"resize": 4}, "data.resize is 4"),
        ({"crop_area": (0.0, 1.0)}, "data.crop_area"),
        ({"num_frames": 0}, "data.num_frames"),
        ({"crop_scales": ()}, "data.crop_scales"),
    ],
)
def test_spec_refuses_what_it_cannot_mean(change, match):
    with pytest.raises(DataError, match=match):
        replace(SPEC, **change)
