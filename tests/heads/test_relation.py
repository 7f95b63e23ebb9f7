"""Temporal relations against NumPy: evenly spread tuples, random ones, sizes of the layers."""

import itertools

import jax
import numpy as np
import pytest

from tests.heads import reference
from vidjax import heads, models
from vidjax.core.errors import UserError

CLIP = (8, 32, 32)


def endpoints(num_frames, channels=12):
    """A map of random numbers, [N, T', H', W', C]."""
    shape = (2, num_frames, 2, 2, channels)
    return {"features": np.random.default_rng(0).standard_normal(shape, np.float32)}


def frames_of(maps):
    return maps["features"].astype(float).mean(axis=(2, 3))


def build(**fields):
    return heads.build("relation", num_classes=5, **{"features": 16, **fields})


@pytest.mark.parametrize(
    "num_frames, scales, read",
    [
        (8, (), (8, 7, 6, 5, 4, 3, 2)),  # multi-scale TRN
        (8, (8,), (8,)),  # TRN
        (8, (3,), (3,)),
        (12, (2, 4), (2, 4)),
        (1, (), (1,)),
    ],
)
def test_evenly_spread_tuples_equal_numpy(num_frames, scales, read):
    head, maps = build(scales=scales), endpoints(num_frames)
    variables = reference.draw_variables(head, maps, CLIP)
    tuples = {scale: reference.tuples_of(num_frames, scale) for scale in read}
    expected = reference.relation(frames_of(maps), variables["params"], tuples)
    logits = reference.compiled(head, CLIP)(variables, maps)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_evenly_spread_tuples_by_hand():
    """Of the ten pairs of five frames, 01 02 03 04 12 13 14 23 24 34, those at 0, 4 and 7."""
    assert reference.tuples_of(5, 2) == [(0, 1), (1, 2), (2, 3)]
    assert reference.tuples_of(8, 8) == [tuple(range(8))]


@pytest.mark.parametrize(
    "scales, hidden, expected",
    [((8,), 0, 512), ((8, 7), 0, 256), ((8,), 100, 100)],
)
def test_sizes_of_layers(scales, hidden, expected):
    """Each frame has 256 features; the hidden layer has as many, and 512 with a single scale."""
    head = build(scales=scales, hidden=hidden, features=256)
    params = reference.draw_variables(head, endpoints(8), CLIP)["params"]
    assert params["project"]["kernel"].shape == (12, 256)
    assert params["hidden8"]["kernel"].shape == (8 * 256, expected)
    assert params["logits8"]["kernel"].shape == (expected, 5)


def answers_of_tuples(variables, maps, scale):
    """The answer of every tuple of rising frames by NumPy: [tuples, N, K]."""
    frames = frames_of(maps)
    every = itertools.combinations(range(frames.shape[1]), scale)
    params = variables["params"]
    return np.stack([reference.relation(frames, params, {scale: [rising]}) for rising in every])


def test_training_draws_different_rising_tuples():
    """The logits are the sum of the answers of three different pairs, of the ten that there are."""
    head, maps = build(scales=(2,)), endpoints(5)
    variables = reference.draw_variables(head, maps, CLIP)
    answers = answers_of_tuples(variables, maps, 2)
    run = reference.compiled(head, CLIP, train=True)
    drawn = set()
    for seed in range(20):
        logits = np.asarray(run(variables, maps, seed))
        matches = [
            chosen
            for chosen in itertools.combinations(range(10), 3)
            if np.abs(answers[list(chosen)].sum(axis=0) - logits).max() < 1e-5
        ]
        assert len(matches) == 1
        drawn.update(matches)
        assert (logits == run(variables, maps, seed)).all()
    assert len(drawn) > 10  # of 120
    assert {pair for three in drawn for pair in three} == set(range(10))


def test_training_draws_rising_tuples_of_very_many():
    """There are 12,870 tuples of eight of sixteen frames, too many to be listed."""
    head, maps = build(scales=(8,), tuples=1, features=4), endpoints(16)
    variables = reference.draw_variables(head, maps, CLIP)
    answers = answers_of_tuples(variables, maps, 8)
    assert len(answers) == 12870
    run = reference.compiled(head, CLIP, train=True)
    drawn = set()
    for seed in range(8):
        far = np.abs(answers - np.asarray(run(variables, maps, seed))).max(axis=(1, 2))
        assert far.min() < 1e-5
        drawn.add(int(far.argmin()))
    assert len(drawn) == 8


def test_all_tuples_are_read_where_there_are_few():
    """Three frames have three pairs: training and evaluation read the same."""
    head, maps = build(scales=(2,), tuples=10), endpoints(3)
    variables = reference.draw_variables(head, maps, CLIP)
    expected = answers_of_tuples(variables, maps, 2).sum(axis=0)
    for train in (False, True):
        logits = reference.compiled(head, CLIP, train=train)(variables, maps)
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_scale_of_more_frames_than_there_are_is_refused():
    with pytest.raises(UserError, match="head.scales has tuples of 8 frames, but .* has 4"):
        reference.draw_variables(build(scales=(8,)), endpoints(4), CLIP)


def test_a_scale_that_is_named_twice_is_refused():
    with pytest.raises(UserError, match=r"head.scales is \(3, 3\); each scale stands in it once"):
        build(scales=(3, 3))


def test_parameters_of_other_scales_are_told_in_a_sentence():
    """Without `scales` they follow from the number of frames."""
    network = models.build(
        "resnet2d", variant="resnet18", num_classes=5, width=0.1, head="relation"
    )
    clip = np.zeros((1, 3, 16, 16, 3), np.float32)
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), clip))
    longer = np.zeros((1, 4, 16, 16, 3), np.float32)
    with pytest.raises(UserError, match="do not fit this network on clips of 4x16x16"):
        jax.eval_shape(lambda variables: network.apply(variables, longer), variables)
