"""Every task: labels in, answers out, sections for the report. A sweep, and each task by hand."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from vidjax import tasks
from vidjax.core.errors import DataError, UserError
from vidjax.learn import steps

CLASSES = ("up", "down", "left", "right")
MIRROR = np.array([0, 1, 3, 2])


def record(label, clip="7"):
    return SimpleNamespace(id=clip, label=label)


def answers_of(task, labels, logits):
    """What an evaluation would find, through the task's own functions."""
    label = np.stack([task.encode(record(name)) for name in labels])
    mask = jnp.ones(len(labels))
    loss = task.loss(logits, label)
    sums = steps.zeros(task.metrics, logits=logits, label=jnp.asarray(label))
    sums["loss"] = (loss.sum(), mask.sum())
    for name, metric in task.metrics.items():
        sums[name] = metric.update(sums[name], logits, jnp.asarray(label), mask=mask)
    rows = {"label": label, "scores": np.asarray(task.scores(logits)), "loss": np.asarray(loss)}
    result = steps.finish(task.metrics, jax.device_get(sums), rows, prefix="")
    ids = [str(index) for index in range(len(labels))]
    return tasks.Answers(ids, rows, result.scalars, result.tables)


def some_answers(task):
    labels = ["up", "left", "right", "left", "down"]
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
    return answers_of(task, labels, logits)


# the tasks whose records need nothing but a label of the clip
OF_CLIPS = [name for name in tasks.names() if tasks.build(name, CLASSES).answers == "clip"]


@pytest.mark.parametrize("name", OF_CLIPS)
def test_every_task_keeps_the_contract(name):
    task = tasks.build(name, CLASSES)
    label = task.encode(record("left"))
    assert label.shape == task.label.shape and label.dtype == task.label.dtype
    with pytest.raises(DataError, match="Clip 7.*'lft'.*Did you mean 'left'"):
        task.encode(record("lft"))

    answers = some_answers(task)
    for scalar in task.shown:
        assert scalar.title in scalar.text(answers.scalars[scalar.name])
    assert {*task.curves, task.best} <= set(answers.scalars)
    assert set(task.train_metrics) <= set(task.metrics)
    for trained in task.metrics_of_training().values():
        trained.finish(trained.zeros(jnp.zeros((1, 4)), label[None]), {})  # needs no rows

    worst = task.worst(answers, 3)
    assert 1 <= len(worst) <= 3
    losses = answers.rows["loss"][worst]
    assert (np.diff(losses) <= 0).all()
    sections = task.sections(answers, {position: f"{position}.png" for position in worst})
    json.dumps([sections, task.about()], allow_nan=False)
    assert all(section["title"] and section["kind"] for section in sections)


@pytest.mark.parametrize("name", OF_CLIPS)
def test_every_task_mirrors_labels_there_and_back(name):
    task = tasks.build(name, CLASSES)
    label = jnp.stack([jnp.asarray(task.encode(record(c))) for c in ("left", "right", "up")])
    flipped = jnp.array([True, False, True])
    once = task.flip_label(label, flipped, MIRROR)
    np.testing.assert_array_equal(once[0], label[1])
    np.testing.assert_array_equal(once[1:], label[1:])
    np.testing.assert_array_equal(task.flip_label(once, flipped, MIRROR), label)


def test_names_that_do_not_exist():
    with pytest.raises(UserError, match="config.task.name: There is no task 'clasification'"):
        tasks.build("clasification", CLASSES)
    with pytest.raises(UserError, match="config.loss.name: There is no loss 'cross_entrpy'"):
        tasks.build("classification", CLASSES, loss="cross_entrpy")
    with pytest.raises(UserError, match="does not fit the task multilabel"):
        tasks.build("multilabel", CLASSES, loss="cross_entropy")
    with pytest.raises(UserError, match="label_smoothing"):
        tasks.build("multilabel", CLASSES, settings={"label_smoothing": 1.0})


def test_the_configs_have_the_defaults_of_every_task():
    """Configs import nothing of vidjax, so they say the defaults again."""
    expected = {}
    for name in tasks.names():
        expected |= tasks.options(name)
    section = base.defaults().task.to_dict()
    section.pop("name")
    assert section == expected


def test_a_clip_without_label():
    assert tasks.build("classification", CLASSES).encode(record("")) == -1
    assert np.isnan(tasks.build("multilabel", CLASSES).encode(record(""))).all()
    assert not tasks.build("multilabel", CLASSES).encode(record(())).any()


def test_a_label_that_is_no_class_is_not_mirrored_to_one():
    task = tasks.build("classification", CLASSES)
    label = task.flip_label(jnp.array([-1, 4]), jnp.array([True, True]), MIRROR)
    np.testing.assert_array_equal(label, [-1, 4])


def test_two_attributes_of_a_clip():
    task = tasks.build("multilabel", CLASSES)
    np.testing.assert_array_equal(task.encode(record(("up", "right"))), [1, 0, 0, 1])
    mirrored = task.flip_label(jnp.array([[1.0, 0, 0, 1]]), jnp.array([True]), MIRROR)
    np.testing.assert_array_equal(mirrored, [[1, 0, 1, 0]])


def test_sections_of_a_classification():
    """Three clips, one wrong: 'left' taken for 'right'."""
    task = tasks.build("classification", CLASSES)
    logits = jnp.array([[9.0, 0, 0, 0], [0, 0, 1, 2], [0, 9, 0, 0]])
    answers = answers_of(task, ["up", "left", "down"], logits)
    assert answers.scalars["top1"] == pytest.approx(2 / 3) and answers.scalars["top5"] == 1
    assert task.worst(answers, 12) == [1]
    confusion, strips, table = task.sections(answers, {1: "validation/1.png"})
    assert confusion["counts"][2] == [0, 0, 0, 1]
    (clip,) = strips["clips"]
    assert clip["truth"] == "left" and clip["answers"][0][0] == "right" and not clip["correct"]
    assert table["rows"][0] == ["left", 1, 0, 0.0, "right (1)"]
    assert table["rows"][-1] == ["right", 0, 0, None, ""]  # no clip of it: last, without a share


def test_if_all_is_right_the_least_certain_clip_is_shown():
    task = tasks.build("classification", CLASSES)
    answers = answers_of(task, ["up", "down"], jnp.array([[9.0, 0, 0, 0], [0, 1, 0, 0]]))
    assert task.worst(answers, 12) == [1]


def test_a_loss_that_is_not_finite_is_json_all_the_same():
    task = tasks.build("classification", CLASSES)
    logits = jnp.array([[jnp.nan, 0, 0, 0], [0, 1, 0, 0]])
    answers = answers_of(task, ["up", "down"], logits)
    sections = task.sections(answers, {0: "0.png", 1: "1.png"})
    json.dumps(sections, allow_nan=False)
