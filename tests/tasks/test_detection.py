"""Detection: boxes in, maps that are drawn from them, boxes that move with pictures, tubes out."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from tests.tasks.evaluating import evaluate, measured_in_training
from vidjax import tasks
from vidjax.core.errors import DataError
from vidjax.data.records import Track
from vidjax.learn import tubes
from vidjax.learn.augment import Moves, make_augment
from vidjax.tasks import ClipSize, detection

CLASSES = ("left hand", "right hand")
CLIP = ClipSize(num_frames=3, size=24)
MIRROR = np.array([1, 0])
NONE = [-1, 0, 0, 0, 0]


def track(label, *rows):
    """A track of rows (frame, top, left, bottom, right)."""
    rows = np.array(rows, np.float32).reshape(-1, 5)
    return Track(label, rows[:, 0].astype(np.int32), rows[:, 1:])


def record(*tracks):
    return SimpleNamespace(id="7", label="boxes", boxes=tracks)


def made_label(*tracks):
    """float32 [1, 4, 3, 5] of tracks [(class, top, left, bottom, right) or NONE, ...]."""
    label = np.tile(np.array(NONE, np.float32), (1, 4, 3, 1))
    for number, rows in enumerate(tracks):
        label[0, number] = rows
    return label


def random_label(rng, count, *, size=24):
    """Labels of `count` clips with up to four objects, and frames without a box."""
    label = np.tile(np.array(NONE, np.float32), (count, 4, 3, 1))
    for clip in label:
        for rows in clip[: rng.integers(0, 5)]:
            corner, sides = rng.integers(0, size - 11, 2), rng.integers(4, 12, 2)
            box = (rng.integers(0, 2), *corner, *(corner + sides))
            rows[rng.random(3) < 0.8] = box
    return label


def drawn(label, size):
    """The map of a label [N, B, T, 5] with whole numbers, box by box, the smallest last."""
    result = np.zeros((len(label), label.shape[2], size, size), int)
    for clip, objects in enumerate(label):
        for t in range(label.shape[2]):
            boxes = [box for box in objects[:, t] if box[0] >= 0]
            boxes.sort(key=lambda box: -(box[3] - box[1]) * (box[4] - box[2]))
            for index, top, left, bottom, right in np.array(boxes, int).reshape(-1, 5):
                result[clip, t, top:bottom, left:right] = index + 1
    return result


def one_hot(classes):
    return np.eye(3, dtype=np.float32)[classes]


@pytest.fixture(scope="module")
def task():
    return tasks.build("detection", CLASSES, clip=CLIP)


@pytest.fixture(scope="module")
def some():
    """(logits, label) of six clips: the map of most boxes is well answered."""
    rng = np.random.default_rng(0)
    label = random_label(rng, 6)
    answer = drawn(np.where(rng.random((6, 4, 1, 1)) < 0.8, label, NONE), 24)
    return rng.normal(size=(6, 3, 24, 24, 3)).astype(np.float32) + 9 * one_hot(answer), label


def test_boxes_come_into_the_pixels_of_the_crop(task):
    """The crop is 48 wide and 12 high and becomes 24 x 24: y is doubled, x is halved."""
    hands = record(
        track("right hand", (0, 10, 20, 14, 40), (4, 11, 20, 15, 40)),
        track("left hand", (4, 0, 0, 11, 30), (5, 16, 2, 30, 20)),
    )
    label = task.encode(hands, np.array([4, 4, 6]), (10, 10, 12, 48), 24, None)
    assert label.dtype == task.label.dtype and label.shape == task.label.shape
    assert label[0].tolist() == [[1, 2, 5, 10, 15], [1, 2, 5, 10, 15], NONE]
    assert label[1].tolist() == [[0, 0, 0, 2, 10], [0, 0, 0, 2, 10], NONE]
    assert label[2:].tolist() == [[NONE] * 3] * 2
    # Of the second hand the crop leaves less than a pixel in frame 5 of another crop.
    label = task.encode(hands, np.array([5, 5, 5]), (0, 0, 16, 24), 24, None)
    assert (label[..., 0] == -1).all()
    assert task.encode(hands).shape == task.label.shape


@pytest.mark.parametrize("height, width, is_kept", [(1, 8, 0), (2, 4, 0), (3, 3, 1), (1, 9, 1)])
def test_a_box_that_no_answer_could_find_is_dropped(task, height, width, is_kept):
    """An answer needs nine pixels; a crop, or a shift, leaves that many of the box, or fewer."""
    drawn_map = np.zeros((1, 24, 24), int)
    drawn_map[0, :height, :width] = 1
    assert len(tubes.from_map(one_hot(drawn_map))) == is_kept

    hand = record(track("left hand", (0, 4, 4, 10 + height, 10 + width)))
    label = task.encode(hand, np.zeros(3, int), (10, 10, 24, 24), 24)
    kept = [0, 0, 0, height, width]
    assert label[0].tolist() == [kept if is_kept else NONE] * 3

    label = made_label([(0, 4, 4, 10 + height, 10 + width)] * 3)
    moves = Moves(
        flipped=jnp.array([False]),
        degrees=jnp.zeros(1),
        shift=jnp.full((1, 2), -10.25 / 24),  # the middles of the same pixels are inside
        scale=jnp.ones(1),
    )
    moved = np.asarray(task.move_label(jnp.asarray(label), moves))
    assert (moved[0, 0, :, 0] == (0 if is_kept else -1)).all()


def test_what_is_no_label_is_told(task):
    with pytest.raises(DataError, match="Clip 7 has a box of 'left hnd'.*Did you mean 'left hand'"):
        task.encode(record(track("left hnd", (0, 1, 1, 5, 5))))
    with pytest.raises(DataError, match="Clip 7 has no boxes(?s:.*)manifest.labels=boxes"):
        task.encode(SimpleNamespace(id="7", label="Swiping Left", boxes=None))
    for label, boxes in (("", None), ("boxes", ())):  # of a split without labels; none to be seen
        empty = task.encode(SimpleNamespace(id="7", label=label, boxes=boxes), np.arange(3))
        assert (empty[..., 0] == -1).all()
    five = [track("left hand", (0, 1, 1, 5, 5))] * 5
    with pytest.raises(DataError, match="5 objects, more than 4.*--config.task.max_boxes=5"):
        task.encode(record(*five))
    roomy = tasks.build("detection", CLASSES, clip=CLIP, max_boxes=5)
    assert roomy.encode(record(*five)).shape == (5, 3, 5) == roomy.label.shape


def test_boxes_are_drawn_with_the_smaller_above_the_larger():
    label = random_label(np.random.default_rng(1), 20)
    rasterised = jax.jit(detection.rasterised, static_argnums=1)
    np.testing.assert_array_equal(rasterised(label, 24), drawn(label, 24))
    # A pixel is of a box where its middle is.
    part = made_label([(0, 1.4, 2.6, 3.6, 4.4), NONE, NONE])
    y, x = np.nonzero(np.asarray(rasterised(part, 24))[0, 0])
    assert (y.min(), y.max(), x.min(), x.max()) == (1, 3, 3, 3)


def test_the_loss_is_that_of_the_drawn_map(task, some):
    logits, label = some
    log_probability = log_softmax(logits.astype(np.float64), axis=-1)
    expected = -(one_hot(drawn(label, 24)) * log_probability).sum(-1).mean((1, 2, 3))
    np.testing.assert_allclose(jax.jit(task.loss)(logits, label), expected, rtol=1e-5)


def test_a_mixed_label_has_the_mean_of_the_losses(task, some):
    """Mixed clips have a map of shares, as two maps of boxes have no boxes between them."""
    logits, label = some
    maps = [one_hot(drawn(of_clip[None], 24)) for of_clip in label[:2]]
    soft, x = (maps[0] + maps[1]) / 2, logits[:1]
    assert (maps[0] != maps[1]).any()
    loss = jax.jit(task.loss)
    expected = (loss(x, label[:1]) + loss(x, label[1:2])) / 2
    np.testing.assert_allclose(loss(x, soft), expected, rtol=1e-6)
    mask = np.ones(1, np.float32)
    of_share = measured_in_training(task, x, 0.6 * maps[0] + 0.4 * maps[1], mask)
    assert of_share == pytest.approx(measured_in_training(task, x, label[:1], mask))


@pytest.mark.parametrize("batch_size", [4, 6])
def test_scores_are_those_of_tubes_and_pixels(task, some, batch_size):
    logits, label = some
    answers = evaluate(task, logits, label, batch_size=batch_size)
    probability = np.asarray(jax.nn.softmax(logits))
    found = list(map(tubes.from_map, probability))
    truth = []
    for objects in label:
        of_clip = []
        for rows in objects:
            boxes = np.where(rows[:, :1] >= 0, rows[:, 1:], np.nan)
            if (rows[:, 0] >= 0).any():
                of_clip.append(tubes.Tube(int(rows[:, 0].max()), 1.0, boxes))
        truth.append(of_clip)
    settings = {"num_classes": 2, "overlap": 0.5}
    of_tubes = tubes.video_average_precision(found, truth, **settings)
    of_boxes = tubes.frame_average_precision(found, truth, **settings)
    np.testing.assert_allclose(answers.tables["video_precision"], of_tubes)
    np.testing.assert_allclose(answers.tables["frame_precision"], of_boxes)
    assert answers.scalars["video_map"] == pytest.approx(of_tubes.mean())
    assert answers.scalars["frame_map"] == pytest.approx(of_boxes.mean())
    assert 0.1 < answers.scalars["video_map"] < 0.95
    accuracy = (logits.argmax(-1) == drawn(label, 24)).mean()
    assert answers.scalars["voxel_accuracy"] == pytest.approx(accuracy, rel=1e-6)
    assert "scores" not in answers.rows  # maps are not kept


def test_tubes_are_kept_as_text(some):
    found = tubes.from_map(np.asarray(jax.nn.softmax(some[0][0])))
    again = detection.tubes_of_json(detection.json_of_tubes(found))
    assert len(again) == len(found) > 0
    for one, other in zip(found, again, strict=True):
        assert one.label == other.label and one.score == pytest.approx(other.score, abs=1e-6)
        np.testing.assert_array_equal(one.boxes, other.boxes)
    assert detection.tubes_of_json(detection.json_of_tubes([])) == []


def test_of_a_noisy_answer_the_best_tubes_are_kept(task):
    """A grid of 144 squares of nine pixels in 48 x 48, whose probabilities are all different."""
    rng = np.random.default_rng(2)
    sure = rng.permutation(np.linspace(0.6, 0.99, 144)).reshape(12, 12).astype(np.float32)
    scores = np.zeros((2, 3, 48, 48, 3), np.float32)  # of two clips; the second has nothing
    scores[..., 0] = 1
    for row in range(12):
        for column in range(12):
            place = (0, 1, slice(4 * row, 4 * row + 3), slice(4 * column, 4 * column + 3))
            scores[place] = (1 - sure[row, column], sure[row, column], 0)
    assert len(tubes.from_map(scores[0])) == 144
    rows = task.digest({"scores": scores, "loss": np.zeros(2)})
    assert set(rows) == {"tubes", "loss"} and rows["tubes"].dtype.kind == "S"
    kept = detection.tubes_of_json(rows["tubes"][0])
    expected = np.sort(sure.reshape(-1))[::-1][: detection.MAX_TUBES]
    np.testing.assert_allclose([tube.score for tube in kept], expected, atol=1e-6)
    assert detection.tubes_of_json(rows["tubes"][1]) == []


def test_clips_without_any_box(task):
    """Nothing is there: no precision; nothing is answered: a precision of 0."""
    nothing = np.zeros((1, 3, 24, 24), int)
    answers = evaluate(task, 9 * one_hot(nothing), made_label())
    assert np.isnan(answers.scalars["video_map"]) and answers.scalars["voxel_accuracy"] == 1
    hand = made_label([(0, 2, 2, 9, 9)] * 3)
    answers = evaluate(task, 9 * one_hot(nothing), hand)
    assert answers.scalars["video_map"] == answers.scalars["frame_map"] == 0
    answers = evaluate(task, 9 * one_hot(drawn(hand, 24)), hand)
    assert answers.scalars["video_map"] == answers.scalars["frame_map"] == 1
    np.testing.assert_array_equal(answers.tables["video_precision"], [1, np.nan])


AUGMENTS = {
    "flip": {"flip": 1.0},
    "shift": {"translate": 0.4},
    "scale": {"scale": (0.6, 1.4)},
    "everything": {"flip": 0.5, "rotate": 30.0, "translate": 0.2, "scale": (0.8, 1.2)},
}


@pytest.mark.parametrize("name", AUGMENTS)
def test_boxes_move_as_their_picture(name):
    """Each object is painted white on black; the box around what is white is its label."""
    rng = np.random.default_rng(0)
    count, size = 24, 48
    label = np.zeros((count, 1, 1, 5), np.float32)
    label[:, 0, 0, 1:3] = rng.integers(2, 26, (count, 2))
    label[:, 0, 0, 3:] = label[:, 0, 0, 1:3] + rng.integers(6, 20, (count, 2))
    video = 250 * np.minimum(drawn(label, size), 1)[..., None].repeat(3, -1)
    task = tasks.build("detection", CLASSES, clip=ClipSize(1, size), max_boxes=1)
    augment = jax.jit(make_augment(move_label=task.move_label, **AUGMENTS[name]))
    batch = {
        "video": jnp.asarray(video, jnp.uint8),
        "label": jnp.asarray(label),
        "draw": jnp.arange(count, dtype=jnp.uint32),
    }
    moved = jax.device_get(augment(batch))
    num_seen = 0
    for picture, (index, *box) in zip(
        moved["video"][:, 0, ..., 0], moved["label"][:, 0, 0], strict=True
    ):
        y, x = np.nonzero(picture > 125)
        if index < 0:
            assert len(y) <= 1.5 * size  # a row of it at most
            continue
        num_seen += 1
        around = [y.min(), x.min(), y.max() + 1, x.max() + 1]
        # The middles of pixels decide, and a rotated corner may cover none.
        np.testing.assert_allclose(box, around, atol=1e-4 if name == "flip" else 1.01)
    assert num_seen > count / 2
    assert abs(moved["label"] - label).max() > 2


def test_what_leaves_the_picture_is_no_object_any_more():
    task = tasks.build("detection", CLASSES, clip=ClipSize(3, 24))
    label = made_label([(1, 2, 1, 9, 6)] * 3, [(0, 2, 15, 9, 20)] * 3)
    moves = Moves(
        flipped=jnp.array([False]),
        degrees=jnp.zeros(1),
        shift=jnp.array([[-0.25, 0.5]]),  # six pixels to the left, twelve down
        scale=jnp.ones(1),
    )
    moved = np.asarray(jax.jit(task.move_label)(label, moves))
    assert (moved[0, 0, :, 0] == -1).all()
    np.testing.assert_allclose(moved[0, 1, 0], [0, 14, 9, 21, 14], atol=1e-5)
    assert (moved[0, 2:, :, 0] == -1).all()


def test_what_a_mirrored_picture_shows_is_swapped_as_well(task):
    label = jnp.asarray(made_label([(0, 2, 2, 9, 9), (1, 2, 2, 9, 9), NONE]).repeat(2, 0))
    swapped = task.flip_label(label, jnp.array([True, False]), MIRROR)
    assert swapped[:, 0, :, 0].tolist() == [[1, 0, -1], [0, 1, -1]]
    np.testing.assert_array_equal(swapped[..., 1:], label[..., 1:])
    assert (swapped[:, 1:, :, 0] == -1).all()


def test_pictures_and_sections(task, some):
    hand = made_label([(0, 2, 2, 9, 9)] * 3)[0]
    scores = np.asarray(jax.nn.softmax(9 * one_hot(drawn(hand[None] + [0, 5, 5, 5, 5], 24)[0])))
    picture = task.paint(np.zeros((3, 24, 24, 3), np.uint8), hand, scores)
    assert picture.shape == (3, 48, 24, 3)
    truth, answer = picture[0, :24].any(-1), picture[0, 24:].any(-1)
    border = np.zeros((24, 24), bool)
    border[2:9, 2:9], border[3:8, 3:8] = True, False
    np.testing.assert_array_equal(truth, border)
    np.testing.assert_array_equal(answer, np.roll(border, (5, 5), (0, 1)))

    answers = evaluate(task, *some)
    worst = task.worst(answers, 2)
    assert worst == np.argsort(-answers.rows["loss"])[:2].tolist()
    overlay, table = task.sections(answers, {worst[0]: "validation/0.png"})
    assert overlay["kind"] == "overlay" and overlay["clips"][0]["strip"] == "validation/0.png"
    assert [row[0] for row in table["rows"]] == list(CLASSES)
    json.dumps([overlay, table, task.about()], allow_nan=False)
    answers.rows["loss"][worst[0]] = np.nan
    overlay, _ = task.sections(answers, {worst[0]: "validation/0.png"})
    assert overlay["clips"][0]["score"] is None  # JSON has no NaN
    for scalar in task.shown:
        assert scalar.title in scalar.text(answers.scalars[scalar.name])
