"""The heads against NumPy, their fields, and what they refuse."""

import json
import sys

import jax
import numpy as np
import pytest

from vidjax import heads
from vidjax.core.errors import UserError

ENDPOINTS = {"features": np.random.default_rng(0).standard_normal((2, 2, 3, 3, 64), np.float32)}
STREAMS = ("features_spatial", "features_temporal")  # which the head of two streams reads
MEAN = ENDPOINTS["features"].mean((1, 2, 3))
CLIP = (8, 32, 32)


def endpoints_of(head):
    if type(head).__module__.endswith("streams"):
        return dict.fromkeys(STREAMS, ENDPOINTS["features"])
    return ENDPOINTS


def init(head):
    return head.init(jax.random.key(0), endpoints_of(head), clip_shape=CLIP, train=False)


def apply(head, variables, *, train=False, seed=1):
    """(logits, changed statistics)."""
    return head.apply(
        variables,
        endpoints_of(head),
        clip_shape=CLIP,
        train=train,
        rngs={"dropout": jax.random.key(seed)},
        mutable=["batch_stats"],
    )


@pytest.mark.parametrize("name", heads.names())
def test_every_head_is_built_by_name_and_has_logits_in_float32(name):
    head = heads.build(name, num_classes=5)
    variables = init(head)
    logits, _ = apply(head, variables)
    places = {"clip": (), "frames": CLIP[:1], "places": CLIP}
    assert logits.shape == (2, *places[head.answers], 5) and logits.dtype == np.float32


@pytest.mark.parametrize("name", heads.names())
def test_a_description_builds_the_same_head(name):
    head = heads.build(name, num_classes=5, dropout=0.3)
    described = json.loads(json.dumps(heads.describe(head)))
    assert described.pop("name") == name and described["dropout"] == 0.3
    assert heads.build(name, num_classes=5, **described) == head


def test_average_by_hand_and_dropout_in_training_only():
    head = heads.build("average", num_classes=5, dropout=0.5)
    variables = init(head)
    params = variables["params"]["logits"]
    logits, _ = apply(head, variables)
    np.testing.assert_allclose(logits, MEAN @ params["kernel"] + params["bias"], atol=1e-6)
    first, again, other = [apply(head, variables, train=True, seed=s)[0] for s in (1, 1, 2)]
    assert (first == again).all() and (first != other).any() and (first != logits).any()


@pytest.mark.parametrize("norm", ["", "layer"])
def test_mlp_by_hand(norm):
    head = heads.build("mlp", num_classes=5, hidden=(8, 4), norm=norm)
    variables = init(head)
    params = variables["params"]
    x = MEAN
    for number in (1, 2):
        layer = params[f"hidden{number}"]
        x = x @ layer["kernel"] + layer["bias"]
        if norm:
            x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        x = np.maximum(x, 0)
    expected = x @ params["logits"]["kernel"] + params["logits"]["bias"]
    np.testing.assert_allclose(apply(head, variables)[0], expected, rtol=1e-3, atol=1e-5)


def test_mlp_with_batch_norm_keeps_statistics():
    head = heads.build("mlp", num_classes=5, hidden=(8,), norm="batch", dropout=0.5)
    variables = init(head)
    _, changed = apply(head, variables, train=True)
    before, after = variables["batch_stats"]["norm1"], changed["batch_stats"]["norm1"]
    assert (before["mean"] != after["mean"]).any()


def test_mlp_takes_an_activation():
    one, other = [
        heads.build("mlp", num_classes=5, activation=activation) for activation in ("relu", "silu")
    ]
    variables = init(one)
    assert (apply(one, variables)[0] != apply(other, variables)[0]).any()


def test_fields_and_their_text():
    assert list(heads.fields("average")) == ["dropout"]
    assert set(heads.fields("mlp")) == {"hidden", "norm", "dropout", "activation", "pool"}
    assert heads.parse_field("mlp", "hidden", "256,128") == (256, 128)
    assert heads.parse_field("average", "dropout", "0.5") == 0.5


@pytest.mark.parametrize(
    "name, fields, sentence",
    [
        ("averag", {}, "There is no head 'averag'. Did you mean 'average'"),
        ("average", {"hidden": (3,)}, "There is no field of the head average 'hidden'"),
        ("mlp", {"hiden": (3,)}, "Did you mean 'hidden'"),
        ("mlp", {"hidden": "many"}, r"head.hidden is a tuple of whole numbers, such as \(256,\)"),
        ("mlp", {"hidden": ()}, "head.hidden is empty"),
        ("mlp", {"hidden": (0,)}, "head.hidden has the entry 0; each is 1 or more"),
        ("mlp", {"norm": "group"}, "head.norm is 'group'"),
        ("mlp", {"activation": "rely"}, "head.activation is 'rely'.*Did you mean 'relu'"),
        ("average", {"dropout": 1.0}, "head.dropout is 1.0; it is at least 0 and less than 1"),
        ("average", {"dropout": "much"}, "head.dropout is a number, such as 0.0, not 'much'"),
        ("average", {"num_classes": 0}, "head.num_classes is 0; it is 1 or more"),
    ],
)
def test_what_does_not_exist_is_refused(name, fields, sentence):
    with pytest.raises(UserError, match=sentence):
        heads.build(name, **{"num_classes": 5, **fields})


@pytest.mark.parametrize(
    "content, missing",
    [
        ("", "no class Head"),
        ("class Head:\n    pass\n", "no `answers`"),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass Head:\n    answers = 'clip'\n"
            "    num_classes: int = 1\n",
            "no field `dropout`",
        ),
    ],
)
def test_a_file_that_is_no_head_is_refused(content, missing, add_head):
    add_head(content)
    with pytest.raises(UserError, match=missing) as caught:
        heads.build("unfinished", num_classes=5)
    assert "unfinished.py is no head" in str(caught.value) and "docs/heads.md" in str(caught.value)


@pytest.fixture
def add_head(tmp_path, monkeypatch):
    """add_head(content): puts a file unfinished.py into the room of heads until the test ends."""

    def add(content):
        (tmp_path / "unfinished.py").write_text(content)
        monkeypatch.setattr(heads, "__path__", [*heads.__path__, str(tmp_path)])

    yield add
    sys.modules.pop("vidjax.heads.unfinished", None)
    vars(heads).pop("unfinished", None)


OF_FRAMES = """
import flax.linen as nn

class Head(nn.Module):
    num_classes: int
    dropout: float = 0.0
    answers = "clip"

    @nn.compact
    def __call__(self, endpoints, *, clip_shape, train):
        return nn.Dense(self.num_classes)(endpoints["features"].mean((2, 3)))
"""


def test_a_head_that_answers_otherwise_than_it_says_is_refused(add_head, job, tiny, tmp_path):
    """It says that it answers for the clip, and answers for two time steps."""
    add_head(OF_FRAMES)
    with pytest.raises(UserError, match=r"unfinished says .* 'clip', and gives \[2, 4\]") as caught:
        job([*tiny, "--config.head.name=unfinished", "--workdir", tmp_path / "run"])
    assert "The task classification needs [4]" in str(caught.value)


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ('"clip"', '"clips"', "wrong `answers`.*Did you mean 'clip'"),
        ("class Head", "NEEDS = ('times',)\n\n\nclass Head", "Did you mean 'time'"),
    ],
)
def test_misspelt_words_of_a_head_are_told(old, new, sentence, add_head, job, tiny, tmp_path):
    add_head(OF_FRAMES.replace(old, new))
    with pytest.raises(UserError, match=sentence):
        job([*tiny, "--config.head.name=unfinished", "--workdir", tmp_path / "run"])
