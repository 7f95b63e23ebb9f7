"""Framewise: labels of frames, scores over the frames of the source, time lines of the report."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from tests.tasks.evaluating import evaluate, measured_in_training
from vidjax import tasks
from vidjax.core.errors import DataError, UserError
from vidjax.data.records import Segment
from vidjax.learn import segments
from vidjax.tasks import ClipSize, framewise

CLASSES = ("silence", "left", "right")
CLIP = ClipSize(num_frames=6, size=8)
RATE = 10.0  # frames a second


def record(*parts, num_frames=12, clip="7"):
    """A clip with segments (first frame, frame behind the last, class)."""
    found = tuple(Segment(start / RATE, end / RATE, label) for start, end, label in parts)
    media = SimpleNamespace(num_frames=num_frames, frames_per_second=RATE)
    return SimpleNamespace(id=clip, label="segments", media=media, segments=found)


TWO = record((1, 4, "left"), (4, 9, "right"))


@pytest.fixture(scope="module")
def task():
    return tasks.build("framewise", CLASSES, clip=CLIP, background="silence")


@pytest.fixture(scope="module")
def some(task):
    """(records, positions, logits, label) of seven clips of 9 to 15 frames, of which six are read.

    One frame before all segments and one behind them are ignored.
    """
    rng = np.random.default_rng(0)
    records, positions, logits = [], [], []
    for clip in range(7):
        count = int(rng.integers(9, 16))
        cuts = [1, *np.sort(rng.choice(np.arange(2, count - 1), 3, replace=False)), count - 1]
        names = rng.choice(CLASSES, 4)
        parts = list(zip(cuts[:-1], cuts[1:], names, strict=True))
        records.append(record(*parts, num_frames=count, clip=f"clip{clip}"))
        positions.append(np.linspace(0, count - 1, CLIP.num_frames).round().astype(np.int32))
    label = np.stack([task.encode(r, p) for r, p in zip(records, positions, strict=True)])
    logits = rng.normal(size=(7, CLIP.num_frames, 3)).astype(np.float32)
    logits += 1.5 * np.eye(3, dtype=np.float32)[np.maximum(label, 0)]
    return records, np.stack(positions), logits, label


def test_a_frame_has_the_class_of_the_segment_of_its_middle(task):
    positions = np.arange(6, dtype=np.int32)
    label = task.encode(TWO, positions, (0, 0, 8, 8), 8, None)
    assert label.dtype == task.label.dtype and label.shape == task.label.shape
    assert label.tolist() == [-1, 1, 1, 1, 2, 2]
    assert task.encode(TWO, np.array([11, 8, 9, 3, 3, 0])).tolist() == [-1, 2, -1, 1, 1, -1]
    # A segment that begins within a frame has it from its middle on.
    late = SimpleNamespace(**{**vars(TWO), "segments": (Segment(0.149, 0.251, "left"),)})
    assert task.encode(late, positions).tolist() == [-1, 1, 1, -1, -1, -1]
    assert task.encode(TWO).tolist() == [-1] * 6  # without positions it is a check alone


def test_what_is_no_label_is_told(task):
    with pytest.raises(DataError, match="Clip 7 has no segments(?s:.*)gestures.labels=phases"):
        task.encode(record())
    with pytest.raises(DataError, match="Clip 7 has a segment 'lft'.*Did you mean 'left'"):
        task.encode(record((0, 3, "left"), (3, 5, "lft")))
    with pytest.raises(UserError, match="config.task.background: .*Did you mean 'silence'"):
        tasks.build("framewise", CLASSES, clip=CLIP, background="left, silense")
    with pytest.raises(UserError, match="does not fit the task framewise"):
        tasks.build("framewise", CLASSES, clip=CLIP, loss="cross_entropy")


def test_a_clip_of_a_split_without_labels_is_ignored(task):
    unlabelled = SimpleNamespace(**{**vars(record()), "label": ""})
    assert task.encode(unlabelled).tolist() == [-1] * 6
    assert task.encode(unlabelled, np.arange(6)).tolist() == [-1] * 6


def test_scores_count_the_frames_of_the_source(task, some):
    """Against scikit-learn, and against segments put together by hand."""
    records, positions, logits, label = some
    truth = task.truth(records, positions)
    answers = evaluate(task, logits, label, truth=truth)
    predicted, true = [], []
    for r, p, x in zip(records, positions, logits, strict=True):
        nearest = [int(np.argmin(abs(p - t))) for t in range(r.media.num_frames)]
        predicted.append(x.argmax(-1)[nearest])
        of_frames = np.full(r.media.num_frames, -1)
        for segment in r.segments:
            start, end = round(segment.start * RATE), round(segment.end * RATE)
            of_frames[start:end] = CLASSES.index(segment.label)
        true.append(of_frames)
    every, of_every = np.concatenate(true), np.concatenate(predicted)
    valid = every >= 0
    counts = confusion_matrix(every[valid], of_every[valid], labels=range(3))
    np.testing.assert_array_equal(answers.tables["confusion"], counts)
    scalars = answers.scalars
    assert scalars["frame_accuracy"] == pytest.approx((every == of_every)[valid].mean())
    expected = balanced_accuracy_score(every[valid], of_every[valid])
    assert scalars["mean_class"] == pytest.approx(expected)
    for share in (10, 25, 50):
        expected = segments.f1(predicted, true, overlap=share / 100, ignored=(0,))
        assert scalars[f"f1_{share}"] == pytest.approx(expected)
    edits = [segments.edit_score(*pair, (0,)) for pair in zip(predicted, true, strict=True)]
    assert scalars["edit"] == pytest.approx(np.mean(edits))
    other = tasks.build("framewise", CLASSES, clip=CLIP)
    assert evaluate(other, logits, label, truth=truth).scalars["f1_50"] != scalars["f1_50"]
    assert set(scalars) >= {scalar.name for scalar in task.shown}


def test_batches_and_padding_change_nothing(task, some):
    records, positions, logits, label = some
    truth = task.truth(records, positions)
    one, all_at_once = (
        evaluate(task, logits, label, batch_size=size, truth=truth).scalars for size in (2, 7)
    )
    assert one == pytest.approx(all_at_once, rel=1e-6)
    mask = np.array([1, 1, 0, 1, 1, 0, 1], np.float32)
    value = measured_in_training(task, logits, label, mask)["frame_accuracy"]
    chosen, of_chosen = logits[mask > 0].argmax(-1), label[mask > 0]
    assert value == pytest.approx((chosen == of_chosen)[of_chosen >= 0].mean())


def test_what_is_said_of_ignored_frames_changes_nothing(task, some):
    records, positions, logits, label = some
    changed = np.where((label < 0)[..., None], 9 * np.eye(3, dtype=np.float32)[1], logits)
    assert (label < 0).sum() >= 7
    np.testing.assert_array_equal(task.loss(changed, label), task.loss(logits, label))
    gradient = jax.jit(jax.grad(lambda x: task.loss(x, label).sum()))(jnp.asarray(logits))
    assert (np.abs(gradient).max(-1) > 0).tolist() == (label >= 0).tolist()
    mask = np.ones(7, np.float32)
    before, after = (measured_in_training(task, x, label, mask) for x in (logits, changed))
    assert before == after


def test_the_loss_is_the_mean_of_the_frames_with_a_label(task, some):
    _, _, logits, label = some
    logits, label = logits[:3].copy(), label[:3].copy()
    label[2] = -1
    expected = []
    for x, y in zip(log_softmax(logits.astype(np.float64), axis=-1), label, strict=True):
        values = [-x[t, y[t]] for t in range(6) if y[t] >= 0]
        expected.append(np.mean(values) if values else 0.0)
    np.testing.assert_allclose(task.loss(logits, label), expected, rtol=1e-5)
    assert expected[2] == 0


def test_a_mixed_label_has_the_mean_of_the_losses(task, some):
    """Two clips mixed half and half, frame by frame; frames that both ignore stay ignored."""
    _, _, logits, _ = some
    first = np.array([[0, 1, 1, -1, 2, 2]])
    second = np.array([[2, 2, 1, -1, 0, 2]])
    soft = (one_hot(first) + one_hot(second)) / 2
    x = logits[:1]
    expected = (task.loss(x, first) + task.loss(x, second)) / 2
    np.testing.assert_allclose(task.loss(x, soft), expected, rtol=1e-6)
    np.testing.assert_allclose(task.loss(x, one_hot(first)), task.loss(x, first), rtol=1e-6)
    # In training the larger share is the label; here both labels are as they were.
    mask = np.ones(1, np.float32)
    for label in (first, second):
        value = measured_in_training(task, x, 0.7 * one_hot(label) + 0.3 * one_hot(first), mask)
        assert value == pytest.approx(measured_in_training(task, x, label, mask))


def one_hot(label):
    return np.eye(3, dtype=np.float32)[label] * (label >= 0)[..., None]


def test_a_clip_without_a_labelled_frame_changes_no_score(task, some):
    records, positions, logits, label = some
    before = evaluate(task, logits, label, truth=task.truth(records, positions)).scalars
    # Its one segment lies between the middles of two frames.
    nothing = SimpleNamespace(**{**vars(TWO), "segments": (Segment(0.16, 0.24, "left"),)})
    positions = np.concatenate([positions, [np.arange(6)]])
    label = np.concatenate([label, [task.encode(nothing, np.arange(6))]])
    assert (label[-1] == -1).all()
    truth = task.truth([*records, nothing], positions)
    after = evaluate(task, np.concatenate([logits, logits[:1]]), label, truth=truth).scalars
    names = {"frame_accuracy", "mean_class", "f1_10", "f1_25", "f1_50", "edit"}
    assert {name: after[name] for name in names} == {name: before[name] for name in names}
    assert before["edit"] < 1


def test_a_mirror_swaps_the_classes_of_frames(task):
    label = jnp.array([[0, 1, 2, -1], [0, 1, 2, -1]])
    swapped = task.flip_label(label, jnp.array([True, False]), np.array([0, 2, 1]))
    assert swapped.tolist() == [[0, 2, 1, -1], [0, 1, 2, -1]]


def test_time_lines_say_what_the_truth_and_the_answers_are(task):
    positions = np.array([[0, 2, 4, 6, 8, 10]])
    answer = np.array([[1, 1, 2, 2, 2, 0]])
    logits = 9 * np.eye(3, dtype=np.float32)[answer]
    label = task.encode(TWO, positions[0])[None]
    answers = evaluate(task, logits, label, truth=task.truth([TWO], positions))
    assert task.worst(answers, 5) == [0]
    line, confusion, table = task.sections(answers, {0: "validation/0.png"})
    assert (line["kind"], confusion["kind"], table["kind"]) == ("timeline", "confusion", "table")
    (clip,) = line["clips"]
    assert clip["truth"] == [[1, 4, 1], [4, 9, 2]]
    # Frame 3 is as near to sample 1 as to sample 2. The line is as long as the clip: frames behind
    # the last segment have an answer and no truth.
    assert clip["answer"] == [[0, 4, 1], [4, 10, 2], [10, 12, 0]] and clip["num_frames"] == 12
    assert answers.scalars["frame_accuracy"] == 1 and answers.scalars["edit"] == 1
    assert table["rows"] == [
        ["silence", 0, None, None],
        ["left", 3, 1.0, 1.0],
        ["right", 5, 1.0, 1.0],
    ]
    json.dumps([line, confusion, table, task.about()], allow_nan=False)


def test_a_split_without_any_labelled_frame(task):
    """Of one clip nobody knows a frame."""
    unknown = record((0, 0, "left"))
    positions = np.arange(6)[None]
    label = task.encode(unknown, positions[0])[None]
    truth = task.truth([unknown], positions)
    answers = evaluate(task, np.zeros((1, 6, 3), np.float32), label, truth=truth)
    assert np.isnan(answers.scalars["frame_accuracy"]) and answers.scalars["loss"] == 0
    assert framewise.answers_of_source(answers.rows)[1][0].tolist() == [-1] * 12
    assert np.isnan(answers.scalars["edit"])
