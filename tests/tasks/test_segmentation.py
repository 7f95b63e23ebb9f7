"""Segmentation: maps of classes in, IoU against scikit-learn, maps that move with pictures."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, jaccard_score

from tests.tasks.evaluating import evaluate, measured_in_training
from vidjax import tasks
from vidjax.core.errors import DataError
from vidjax.learn.augment import make_augment
from vidjax.tasks import ClipSize
from vidjax.tasks._overlay import palette

CLASSES = ("background", "left hand", "right hand", "cup")
CLIP = ClipSize(num_frames=2, size=12)
MIRROR = np.array([0, 2, 1, 3])


def record(masks="somewhere"):
    return SimpleNamespace(id="7", label="masks", masks=masks)


@pytest.fixture(scope="module")
def task():
    return tasks.build("segmentation", CLASSES, clip=CLIP)


@pytest.fixture(scope="module")
def some():
    """(logits, label) of five clips; a tenth of the pixels is ignored, and class 3 is rare."""
    rng = np.random.default_rng(0)
    label = rng.choice([0, 0, 1, 2, 255], (5, 2, 12, 12)).astype(np.uint8)
    label[rng.random(label.shape) < 0.01] = 3
    logits = rng.normal(size=(*label.shape, 4)).astype(np.float32)
    return logits + np.eye(5, 4, dtype=np.float32)[np.minimum(label, 4)], label


def one_hot(label):
    return np.eye(256, 4, dtype=np.float32)[label]


def test_a_label_is_what_the_masks_say(task):
    mask = np.random.default_rng(0).choice([0, 1, 2, 3, 255], (2, 12, 12)).astype(np.uint8)
    label = task.encode(record(), np.arange(2), (0, 0, 12, 12), 12, lambda: mask)
    assert label.dtype == task.label.dtype and label.shape == task.label.shape
    np.testing.assert_array_equal(label, mask)
    assert (task.encode(record()) == 255).all()  # a check alone, which reads nothing
    mask[1, 3, 4] = 4
    with pytest.raises(DataError, match="clip 7 has the value 4; there are 4 classes"):
        task.encode(record(), np.arange(2), (0, 0, 12, 12), 12, lambda: mask)
    with pytest.raises(DataError, match="Clip 7 has no masks(?s:.*)gestures.labels=masks"):
        task.encode(record(None))
    unlabelled = SimpleNamespace(id="7", label="", masks=None)
    assert (task.encode(unlabelled, np.arange(2)) == 255).all()


@pytest.mark.parametrize("batch_size", [2, 5])
def test_scores_equal_scikit_learn(task, some, batch_size):
    logits, label = some
    answers = evaluate(task, logits, label, batch_size=batch_size)
    answer, valid = logits.argmax(-1), label != 255
    counts = confusion_matrix(label[valid], answer[valid], labels=range(4))
    np.testing.assert_array_equal(answers.tables["voxels"], counts)
    settings = {"labels": range(4), "average": None}
    ious = jaccard_score(label[valid], answer[valid], **settings)
    np.testing.assert_allclose(answers.tables["iou"], ious)
    assert answers.scalars["miou"] == pytest.approx(ious.mean())
    accuracy = (label == answer)[valid].mean()
    assert answers.scalars["voxel_accuracy"] == pytest.approx(accuracy)
    # Each clip by itself: a class that neither occurs nor is answered is left out of its mean.
    for clip in range(5):
        y, x = label[clip][valid[clip]], logits[clip].argmax(-1)[valid[clip]]
        expected = jaccard_score(y, x, average="macro", labels=np.union1d(y, x))
        assert answers.rows["miou"][clip] == pytest.approx(expected, rel=1e-5)
        assert answers.rows["accuracy"][clip] == pytest.approx((y == x).mean(), rel=1e-5)
    assert "scores" not in answers.rows and "label" not in answers.rows  # maps are not kept


def test_a_class_that_nobody_speaks_of_is_left_out(task):
    label = np.zeros((1, 2, 12, 12), np.uint8)
    label[0, :, :6] = 1
    answers = evaluate(task, 9 * one_hot(np.where(label == 1, 1, 2)), label)
    # Half is right, and class 2 was answered where class 0 is: 0, 1, 0, and nothing of class 3.
    np.testing.assert_array_equal(answers.tables["iou"], [0, 1, 0, np.nan])
    assert answers.scalars["miou"] == pytest.approx(1 / 3)
    assert answers.rows["miou"] == pytest.approx(1 / 3)
    label[:] = 255
    answers = evaluate(task, np.zeros((1, 2, 12, 12, 4), np.float32), label)
    assert np.isnan(answers.scalars["miou"]) and np.isnan(answers.scalars["voxel_accuracy"])
    assert answers.scalars["loss"] == 0
    assert np.isnan(answers.rows["miou"]).all() and np.isnan(answers.rows["accuracy"]).all()


def test_a_clip_without_a_label_is_not_among_the_worst(task, some):
    logits, label = some
    label = label.copy()
    label[1] = 255
    answers = evaluate(task, logits, label)
    assert task.worst(answers, 5)[-1] == 1
    overlay, _ = task.sections(answers, {1: "validation/1.png"})
    assert overlay["clips"][0]["score"] is None


def test_ignored_pixels_change_nothing(task, some):
    logits, label = some
    changed = np.where((label == 255)[..., None], 9 * one_hot(label * 0 + 1), logits)
    np.testing.assert_array_equal(task.loss(changed, label), task.loss(logits, label))
    before, after = evaluate(task, logits, label), evaluate(task, changed, label)
    assert before.scalars == after.scalars
    np.testing.assert_array_equal(before.rows["miou"], after.rows["miou"])
    gradient = jax.jit(jax.grad(lambda x: task.loss(x, label).sum()))(jnp.asarray(logits))
    np.testing.assert_array_equal(np.abs(gradient).max(-1) > 0, label != 255)


def test_the_loss_is_the_mean_of_the_pixels_with_a_label(task, some):
    logits, label = some
    log_probability = log_softmax(logits.astype(np.float64), axis=-1)
    each = -(one_hot(label) * log_probability).sum(-1)  # 0 where ignored
    expected = each.sum((1, 2, 3)) / (label != 255).sum((1, 2, 3))
    np.testing.assert_allclose(task.loss(logits, label), expected, rtol=1e-5)


def test_a_mixed_label_has_the_mean_of_the_losses(task, some):
    logits, label = some
    first = label[:2].copy()
    second = np.where(first == 255, 255, (first + 1) % 4).astype(np.uint8)
    soft = (one_hot(first) + one_hot(second)) / 2
    expected = (task.loss(logits[:2], first) + task.loss(logits[:2], second)) / 2
    np.testing.assert_allclose(task.loss(logits[:2], soft), expected, rtol=1e-6)
    mask = np.ones(2, np.float32)
    of_share = measured_in_training(
        task, logits[:2], 0.6 * one_hot(first) + 0.4 * one_hot(second), mask
    )
    assert of_share == measured_in_training(task, logits[:2], first, mask)


AUGMENTS = {
    "flip": {"flip": 1.0},
    "shift": {"translate": 0.3},
    "everything": {"flip": 0.5, "rotate": 40.0, "translate": 0.2, "scale": (0.7, 1.3)},
}


@pytest.mark.parametrize("name", AUGMENTS)
def test_a_map_moves_as_its_picture(task, name):
    """The classes are painted into the picture, one a channel, and both are augmented.

    Bilinear pictures mix the classes at edges: where a channel is full, the pixel has that class.
    """
    rng = np.random.default_rng(0)
    size = 32
    label = np.zeros((6, 2, size, size), np.uint8)
    for row in label.reshape(-1, size, size):
        for index in (1, 2):
            top, left = rng.integers(0, 20, 2)
            row[top : top + 12, left : left + 10] = index
    task = tasks.build("segmentation", CLASSES, clip=ClipSize(2, size))
    video = (250 * one_hot(label)[..., :3]).astype(np.uint8)
    batch = {"video": video, "label": label, "draw": np.arange(6, dtype=np.uint32)}
    augment = jax.jit(make_augment(move_label=task.move_label, **AUGMENTS[name]))
    moved = jax.device_get(augment(jax.tree.map(jnp.asarray, batch)))
    assert moved["label"].dtype == np.uint8
    full = moved["video"].max(-1) > 250 - 1e-3
    assert full.mean() > 0.8 and (moved["label"] != label).mean() > 0.1
    np.testing.assert_array_equal(moved["label"][full], moved["video"].argmax(-1)[full])
    if name == "flip":
        assert full.all()
        np.testing.assert_array_equal(moved["label"], label[..., ::-1])


def test_what_a_mirrored_picture_shows_is_swapped_as_well(task):
    label = jnp.asarray([[[[0, 1, 2, 3, 255]]], [[[0, 1, 2, 3, 255]]]], jnp.uint8)
    swapped = task.flip_label(label, jnp.array([True, False]), MIRROR)
    assert swapped.dtype == jnp.uint8
    assert swapped[:, 0, 0].tolist() == [[0, 2, 1, 3, 255], [0, 1, 2, 3, 255]]


def test_overlays_show_truth_above_answer(task):
    video = np.full((2, 12, 12, 3), 100, np.uint8)
    label = np.zeros((2, 12, 12), np.uint8)
    label[:, :4, :4], label[:, 11] = 2, 255
    scores = one_hot(np.full((2, 12, 12), 0)) * 0.9
    scores[:, 6:, 6:] = one_hot(np.full((2, 6, 6), 1))
    picture = task.paint(video, label, scores)
    assert picture.shape == (2, 24, 12, 3) and picture.dtype == np.uint8
    colours = palette(4).astype(int)
    expected = np.full((2, 24, 12, 3), 100)
    expected[:, :4, :4] = (100 + colours[2]) // 2
    expected[:, 18:, 6:] = (100 + colours[1]) // 2
    assert abs(expected - picture.astype(int)).max() <= 1
    assert len({tuple(colour) for colour in colours}) == 4


def test_sections(task, some):
    answers = evaluate(task, *some)
    worst = task.worst(answers, 3)
    assert worst == np.argsort(answers.rows["miou"])[:3].tolist()
    overlay, table = task.sections(answers, {worst[0]: "validation/0.png"})
    assert overlay["kind"] == "overlay" and overlay["score"] == "mean IoU"
    (clip,) = overlay["clips"]
    assert clip["score"] == pytest.approx(answers.rows["miou"].min(), abs=1e-6)
    assert [row[0] for row in table["rows"]] == list(CLASSES)
    assert table["rows"][3][1] == (some[1] == 3).sum()
    json.dumps([overlay, table, task.about()], allow_nan=False)
    for scalar in task.shown:
        assert scalar.title in scalar.text(answers.scalars[scalar.name])
