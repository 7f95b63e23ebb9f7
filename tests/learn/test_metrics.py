"""Metrics against plain NumPy loops; the same result however the clips are split and padded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from vidjax.learn import metrics, steps

NUM_CLASSES = 9
METRICS = {"top1": metrics.top_k(1), "top5": metrics.top_k(5), "confusion": metrics.Confusion()}
LOGITS = jax.ShapeDtypeStruct((1, NUM_CLASSES), jnp.float32)
LABEL = jax.ShapeDtypeStruct((1,), jnp.int32)


@pytest.fixture(scope="module")
def update():
    @jax.jit
    def update(sums, loss, logits, label, mask):
        new = {"loss": metrics.add(sums["loss"], metrics.weighted(loss, mask))}
        for name, metric in METRICS.items():
            new[name] = metric.update(sums[name], logits, label, mask=mask)
        return new

    return update


def some_clips(num, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num, NUM_CLASSES)).astype(np.float32)
    label = rng.integers(0, NUM_CLASSES - 1, num).astype(np.int32)  # the last class never occurs
    loss = rng.integers(0, 64, num).astype(np.float32) / 16  # sums of these are exact in any order
    return loss, logits, label


def reference(loss, logits, label):
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES), int)
    top5 = 0
    for scores, true in zip(logits, label, strict=True):
        order = np.argsort(-scores)
        counts[true, order[0]] += 1
        top5 += true in order[:5]
    recalls = [counts[c, c] / counts[c].sum() for c in range(NUM_CLASSES) if counts[c].sum()]
    return {
        "val/loss": loss.astype(np.float64).mean(),
        "val/top1": np.trace(counts) / len(label),
        "val/top5": top5 / len(label),
        "val/mean_class": np.mean(recalls),
        "val/num_clips": len(label),
    }, counts


def pad(array, size, value):
    return np.concatenate(
        [array, np.full((size - len(array), *array.shape[1:]), value, array.dtype)]
    )


@pytest.mark.parametrize("batch_size", [1, 7, 16, 50])
def test_padded_batches_equal_numpy(update, batch_size):
    loss, logits, label = some_clips(50)
    expected, counts = reference(loss, logits, label)
    sums = steps.zeros(METRICS, logits=LOGITS, label=LABEL)
    for start in range(0, 50, batch_size):
        part = slice(start, start + batch_size)
        mask = pad(np.ones(len(label[part]), np.float32), batch_size, 0)
        # padding holds the worst there is: a NaN loss, NaN logits, a label that is no class
        batch = (
            pad(loss[part], batch_size, np.nan),
            pad(logits[part], batch_size, np.nan),
            pad(label[part], batch_size, 99),
        )
        sums = update(sums, *batch, mask)
    result, tables = steps.finish(METRICS, jax.device_get(sums), {})
    assert result.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-12, err_msg=name)
    np.testing.assert_array_equal(tables["confusion"], counts)
    assert result["val/num_clips"] == 50


def test_ties_count_against_the_clip():
    logits = jnp.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [2.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    label, mask = jnp.array([0, 1, 1, 2]), jnp.ones(4)
    assert metrics.top_k(1).measure(logits, label, mask)[0] == 0
    np.testing.assert_array_equal(metrics.in_top(logits, label, k=2), [True, True, False, False])
    np.testing.assert_array_equal(metrics.in_top(logits, label, k=3), [True] * 4)
    counts, _ = metrics.confusion(logits, label, mask)
    np.testing.assert_array_equal(
        counts, [[0, 1, 0], [2, 0, 0], [1, 0, 0]]
    )  # the class it ties with, never its own


def test_fewer_classes_than_k():
    assert metrics.top_k(5).measure(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([0]), jnp.ones(1)) == (
        1,
        1,
    )


def test_nan_is_never_right():
    logits = jnp.array([[jnp.nan, 0.0], [0.0, jnp.nan], [jnp.nan, jnp.nan]])
    label = jnp.array([0, 0, 0])
    np.testing.assert_array_equal(metrics.in_top(logits, label, k=1), [False, False, False])
    np.testing.assert_array_equal(metrics.in_top(logits, label, k=5), [False, True, False])


def test_mean_class_by_hand():
    counts = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert metrics.mean_class(counts) == pytest.approx((0.75 + 0.5) / 2)


def test_nothing_counted():
    sums = steps.zeros(METRICS, logits=LOGITS, label=LABEL)
    result, _ = steps.finish(METRICS, jax.device_get(sums), {})
    assert result["val/num_clips"] == 0
    assert all(np.isnan(result[f"val/{name}"]) for name in ("loss", "top1", "top5", "mean_class"))


def test_sums_of_training_finish_too():
    sums = {"loss": (jnp.array(6.0), jnp.array(4.0)), "top1": (jnp.array(1.0), jnp.array(4.0))}
    result, _ = steps.finish({"top1": METRICS["top1"]}, sums, {}, prefix="train/")
    assert result == {"train/loss": 1.5, "train/top1": 0.25, "train/num_clips": 4}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_ignores_padding(name):
    loss, logits, label = some_clips(8)
    mask = np.array([1, 1, 0, 1, 0, 1, 1, 0], np.float32)
    keep = mask > 0
    metric = METRICS[name]
    padded = metric.measure(jnp.asarray(logits), jnp.asarray(label), jnp.asarray(mask))
    alone = metric.measure(
        jnp.asarray(logits[keep]), jnp.asarray(label[keep]), jnp.ones(keep.sum())
    )
    jax.tree.map(np.testing.assert_array_equal, padded, alone)


def test_average_precision_equals_scikit_learn():
    rng = np.random.default_rng(0)
    scores = np.round(rng.random((60, 5)), 1)  # many ties
    label = (rng.random((60, 5)) < 0.3).astype(np.float32)
    label[:, 4] = 0
    each = metrics.average_precisions(scores, label)
    for index in range(4):
        expected = average_precision_score(label[:, index], scores[:, index])
        assert each[index] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(each[4])
    result = metrics.MeanAveragePrecision().finish((), {"scores": scores, "label": label})
    assert result.scalars["map"] == pytest.approx(each[:4].mean())


def test_average_precision_by_hand():
    """Positives at ranks 1 and 3: (1/1 + 2/3) / 2."""
    each = metrics.average_precisions(np.array([[0.9], [0.8], [0.7]]), np.array([[1], [0], [1]]))
    assert each[0] == pytest.approx((1 + 2 / 3) / 2)


def test_all_answers_have_to_be_right():
    logits = jnp.array([[1.0, -1.0], [1.0, 1.0], [jnp.nan, -1.0], [0.0, -2.0]])
    label = jnp.array([[1, 0], [1, 0], [1, 0], [0, 0]])
    np.testing.assert_array_equal(metrics.all_right(logits, label), [True, False, False, True])


def test_a_soft_label_counts_as_its_largest_share():
    rng = np.random.default_rng(0)
    logits, mask = jnp.asarray(rng.normal(size=(40, 4)), jnp.float32), jnp.ones(40)
    label, other = rng.integers(0, 4, (2, 40))
    soft = jnp.asarray(0.7 * np.eye(4)[label] + 0.3 * np.eye(4)[other], jnp.float32)
    for metric in (metrics.top_k(2), metrics.Confusion()):
        hard = metric.measure(logits, jnp.asarray(label), mask)
        for one, expected in zip(metric.measure(logits, soft, mask), hard, strict=True):
            np.testing.assert_array_equal(one, expected)
