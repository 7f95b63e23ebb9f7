"""Heads that answer at places, frames or windows, and those of two streams, against NumPy."""

import itertools

import numpy as np
import pytest

from tests.heads import reference
from vidjax import heads
from vidjax.core.errors import UserError
from vidjax.layers.style import Style

RNG = np.random.default_rng(0)
CLIP = (9, 20, 24)
# T', H', W' and C' of endpoints: strides of 1, 2 and 4 in time, of 2, 2, 4 and 8 in space; sizes
# are rounded up. The stem is no level, as stage 1 has its size.
SIZES = {
    "stem": (9, 10, 12, 3),
    "stage1": (9, 10, 12, 4),
    "stage2": (5, 5, 6, 5),
    "stage3": (3, 3, 3, 6),
    "features": (1, 1, 1, 7),
}
ENDPOINTS = {name: RNG.standard_normal((2, *size), np.float32) for name, size in SIZES.items()}
MAP = "stage3"
# how far the positions of an endpoint lie apart in the clip: time, height, width
STEPS = {"stage1": (1, 2, 2), "stage2": (2, 4, 4), "stage3": (4, 8, 8)}


def build(name, **fields):
    return heads.build(name, num_classes=5, **{"map_name": MAP, **fields})


def grow(x, size, steps):
    """Linear interpolation in time and space: [N, T', H', W', C] -> [N, T, H, W, C]."""
    for axis in (1, 2, 3):
        x = reference.interpolate(x, axis, size[axis - 1], steps[axis - 1])
    return x


def convolve(x, kernel):
    """A convolution of 3x3x3 with zeros around x, tap by tap."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0)))
    _, num_frames, height, width, _ = x.shape
    total = 0
    for t, h, w in itertools.product(range(3), repeat=3):
        window = padded[:, t : t + num_frames, h : h + height, w : w + width]
        total = total + window @ np.asarray(kernel, float)[t, h, w]
    return total


def pyramid(names, variables):
    """A feature pyramid over endpoints from fine to coarse, and its logits at the finest."""
    params, statistics = variables["params"], variables["batch_stats"]["decode"]["norm"]
    x = 0
    for number in range(len(names) - 1, -1, -1):
        name = names[number]
        if number < len(names) - 1:
            steps = np.divide(STEPS[names[number + 1]], STEPS[name])
            x = grow(x, ENDPOINTS[name].shape[1:4], steps)
        lateral = params[f"lateral_{name}"]
        kernel = np.asarray(lateral["kernel"], float)[0, 0, 0]
        x = x + ENDPOINTS[name].astype(float) @ kernel + lateral["bias"]
    x = convolve(x, params["decode"]["conv"]["kernel"])
    norm = params["decode"]["norm"]
    x = (x - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5)
    x = np.maximum(x * norm["scale"] + norm["bias"], 0)
    return grow(reference.linear(x, params["logits"]), CLIP, STEPS[names[0]])


@pytest.mark.parametrize(
    "num_levels, names",
    [(0, ["stage1", "stage2", "stage3"]), (2, ["stage2", "stage3"]), (1, ["stage3"])],
)
def test_dense_is_a_feature_pyramid(num_levels, names):
    head = build("dense", channels=8, num_levels=num_levels)
    variables = reference.draw_variables(head, ENDPOINTS, CLIP)
    expected = pyramid(names, variables)
    logits = reference.compiled(head, CLIP)(variables, ENDPOINTS)
    assert logits.shape == (2, *CLIP, 5)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def frame_logits(variables):
    frames = ENDPOINTS[MAP].astype(float).mean(axis=(2, 3))
    return reference.linear(frames, variables["params"]["logits"])  # [N, 3, K]


def test_framewise_interpolates_to_the_frames_of_the_clip():
    """Nine frames from time steps at frames 0, 4 and 8."""
    head = build("framewise")
    variables = reference.draw_variables(head, ENDPOINTS, CLIP)
    expected = reference.interpolate(frame_logits(variables), 1, 9, 4)
    logits = reference.compiled(head, CLIP)(variables, ENDPOINTS)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits[:, [0, 4, 8]], frame_logits(variables), rtol=1e-5, atol=1e-5)


def test_framewise_keeps_the_time_steps():
    head = build("framewise", upsample=False)
    variables = reference.draw_variables(head, ENDPOINTS, CLIP)
    logits = reference.compiled(head, CLIP)(variables, ENDPOINTS)
    np.testing.assert_allclose(logits, frame_logits(variables), rtol=1e-5, atol=1e-5)


def test_a_causal_framewise_head_holds_its_last_answer():
    head = build("framewise", style=Style(causal=True))
    variables = reference.draw_variables(head, ENDPOINTS, CLIP)
    expected = frame_logits(variables)[:, [0, 0, 0, 0, 1, 1, 1, 1, 2]]
    logits = reference.compiled(head, CLIP)(variables, ENDPOINTS)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [(0, 0, 0), (0, 2, 2), (1, 1, 1), (2, 7, 3)])
def test_conv_average_is_the_mean_probability_of_all_places(window):
    """A window that is larger than the map averages all of it."""
    head = build("conv_average", window=window)
    variables = reference.draw_variables(head, ENDPOINTS, CLIP)
    x = ENDPOINTS[MAP].astype(float)  # [2, 3, 3, 3, 6]
    sizes = [min(size or 3, 3) for size in window]
    logits = []
    for t, h, w in itertools.product(*(range(4 - size) for size in sizes)):
        part = x[:, t : t + sizes[0], h : h + sizes[1], w : w + sizes[2]]
        logits.append(reference.linear(part.mean(axis=(1, 2, 3)), variables["params"]["logits"]))
    answers = reference.softmax(np.stack(logits))
    found = reference.compiled(head, CLIP)(variables, ENDPOINTS)
    np.testing.assert_allclose(found, np.log(answers.mean(axis=0)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1, rtol=1e-5)
    found = reference.compiled(head, CLIP, train=True)(variables, ENDPOINTS)
    np.testing.assert_allclose(found, np.mean(logits, axis=0), rtol=1e-5, atol=1e-5)


def test_conv_average_has_the_parameters_of_average():
    """Weights that are trained with the one are evaluated with the other."""
    head, average = build("conv_average"), heads.build("average", num_classes=5)
    endpoints = {MAP: ENDPOINTS[MAP], "features": ENDPOINTS[MAP]}
    variables = reference.draw_variables(average, endpoints, CLIP)
    expected = reference.compiled(average, CLIP)(variables, endpoints)
    found = reference.compiled(head, CLIP)(variables, endpoints)
    expected = np.log(reference.softmax(np.asarray(expected, float)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_mlp_with_the_maximum():
    """Conv Pooling: the largest value over time and space, then hidden layers."""
    head = heads.build("mlp", num_classes=5, pool="max", hidden=(8,))
    endpoints = {"features": ENDPOINTS[MAP]}
    variables = reference.draw_variables(head, endpoints, CLIP)
    params = variables["params"]
    x = ENDPOINTS[MAP].astype(float).max(axis=(1, 2, 3))
    x = np.maximum(reference.linear(x, params["hidden1"]), 0)
    expected = reference.linear(x, params["logits"])
    found = reference.compiled(head, CLIP)(variables, endpoints)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


# The streams differ in size, as those of different networks do.
STREAMS = {"features_spatial": ENDPOINTS["stage3"], "features_temporal": ENDPOINTS["stage2"]}


def means_of_streams():
    return [STREAMS[name].astype(float).mean(axis=(1, 2, 3)) for name in STREAMS]


@pytest.mark.parametrize("weight", [1.0, 1.5, 0.0])
def test_streams_average_probabilities(weight):
    head = heads.build("streams", num_classes=5, temporal_weight=weight)
    variables = reference.draw_variables(head, STREAMS, CLIP)
    spatial, temporal = means_of_streams()
    spatial = reference.linear(spatial, variables["params"]["spatial"])
    temporal = reference.linear(temporal, variables["params"]["temporal"])
    of_both = [reference.softmax(spatial), reference.softmax(temporal)]
    expected = np.log(np.average(of_both, axis=0, weights=[1, weight]))
    found = reference.compiled(head, CLIP)(variables, STREAMS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    expected = np.average([spatial, temporal], axis=0, weights=[1, weight])
    found = reference.compiled(head, CLIP, train=True)(variables, STREAMS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_streams_with_a_linear_layer_on_both():
    head = heads.build("streams", num_classes=5, fusion="linear")
    variables = reference.draw_variables(head, STREAMS, CLIP)
    stacked = np.concatenate(means_of_streams(), axis=-1)
    expected = reference.linear(stacked, variables["params"]["logits"])
    found = reference.compiled(head, CLIP)(variables, STREAMS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name, fields, sentence",
    [
        ("streams", {"fusion": "sum"}, "head.fusion is 'sum'; it is one of average, linear"),
        ("streams", {"temporal_weight": -1.0}, "head.temporal_weight is -1.0; it is 0 or more"),
        ("conv_average", {"window": (-1, 0, 0)}, "head.window is -1; it is 0 or more"),
        ("dense", {"num_levels": -1}, "head.num_levels is -1; it is 0 or more"),
        ("mlp", {"pool": "median"}, "head.pool is 'median'; it is one of mean, max"),
    ],
)
def test_wrong_fields_are_refused(name, fields, sentence):
    with pytest.raises(UserError, match=sentence):
        heads.build(name, num_classes=5, **fields)
