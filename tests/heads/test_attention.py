"""The heads with attention against NumPy: the temporal transformer and the attentive probe."""

import numpy as np
import pytest

from tests.heads import reference
from vidjax import heads
from vidjax.core.errors import UserError
from vidjax.layers.style import Style

CLIP = (16, 32, 32)
WIDTH = 16


def endpoints(num_frames):
    """A map of random numbers, [N, T', H', W', C]."""
    shape = (2, num_frames, 2, 3, 12)
    return {"features": np.random.default_rng(0).standard_normal(shape, np.float32)}


def frames_of(maps):
    return maps["features"].astype(float).mean(axis=(2, 3))


def perceptron(x, params, prefix=""):
    hidden = reference.gelu(reference.linear(x, params[f"{prefix}expand"]))
    return reference.linear(hidden, params[f"{prefix}reduce"])


def transformer(frames, params, positions):
    """Blocks with the normalisation ahead of each part: [N, T, C] -> tokens [N, T, width]."""
    x = reference.linear(frames, params["project"]) + positions
    for block in ("block1_", "block2_"):
        y = reference.layer_norm(x, params[f"{block}norm1"])
        x = x + reference.attention(y, y, params[f"{block}attention"])
        x = x + perceptron(reference.layer_norm(x, params[f"{block}norm2"]), params, block)
    return reference.layer_norm(x, params["norm"])


# frames of the clip: how far apart they lie among the eight learned positions
STEPS = {8: 1, 4: 2, 12: 8 / 12, 16: 1 / 2}


@pytest.mark.parametrize("num_frames", STEPS)
def test_transformer_equals_numpy_at_any_length(num_frames):
    """The parameters are those of clips of eight frames; positions are interpolated."""
    fields = {"width": WIDTH, "positions": 8}
    head = heads.build("transformer", num_classes=5, **fields)
    variables = reference.draw_variables(head, endpoints(8), CLIP)
    params, maps = variables["params"], endpoints(num_frames)
    learned = np.asarray(params["positions"], float)
    assert learned.shape == (8, WIDTH)
    where = np.arange(num_frames) * STEPS[num_frames]
    positions = np.stack([np.interp(where, np.arange(8), row) for row in learned.T], axis=1)
    tokens = transformer(frames_of(maps), params, positions)
    expected = reference.linear(tokens.mean(axis=1), params["logits"])
    logits = reference.compiled(head, CLIP)(variables, maps)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_transformer_answers_for_every_frame():
    head = heads.build("transformer", num_classes=5, width=WIDTH, positions=8, output="every")
    maps = endpoints(8)
    variables = reference.draw_variables(head, maps, CLIP)
    params = variables["params"]
    tokens = transformer(frames_of(maps), params, np.asarray(params["positions"], float))
    logits = reference.linear(tokens, params["logits"])
    expected = reference.interpolate(logits, 1, CLIP[0], 2)
    found = reference.compiled(head, CLIP)(variables, maps)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_causal_transformer_sees_the_past_alone():
    """Frames ahead of one that changes keep their answers, and those from it on do not."""
    style = Style(causal=True)
    fields = {"width": WIDTH, "output": "every"}
    head = heads.build("transformer", num_classes=5, style=style, **fields)
    maps, clip = endpoints(8), (8, 32, 32)
    variables = reference.draw_variables(head, maps, clip)
    other = maps["features"].copy()
    other[:, 5] += 1
    run = reference.compiled(head, clip)
    one, two = run(variables, maps), run(variables, {"features": other})
    assert ((one != two).any(axis=(0, 2)) == (np.arange(8) >= 5)).all()


@pytest.mark.parametrize("queries, attention_heads", [(1, 4), (3, 2)])
def test_attentive_equals_numpy(queries, attention_heads):
    fields = {"queries": queries, "width": WIDTH, "attention_heads": attention_heads}
    head, maps = heads.build("attentive", num_classes=5, **fields), endpoints(4)
    variables = reference.draw_variables(head, maps, CLIP)
    params = variables["params"]
    places = maps["features"].astype(float).reshape(2, -1, 12)  # [N, T'*H'*W', C]
    places = reference.layer_norm(places, params["norm_places"])
    asked = np.repeat(np.asarray(params["queries"], float)[None], 2, axis=0)
    x = asked + reference.attention(asked, places, params["attention"])
    x = x + perceptron(reference.layer_norm(x, params["norm"]), params)
    expected = reference.linear(x.mean(axis=1), params["logits"])
    logits = reference.compiled(head, CLIP)(variables, maps)
    assert params["attention"]["query"]["kernel"].shape[1] == attention_heads
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["transformer", "attentive"])
def test_heads_of_attention_divide_the_width(name):
    with pytest.raises(UserError, match="head.attention_heads is 3, which does not divide the wid"):
        heads.build(name, num_classes=5, width=16, attention_heads=3)
