"""Settings from values and from text: what each type takes, and what is said of the rest."""

import dataclasses

import pytest

from vidjax.core import fields
from vidjax.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Example:
    """One field of each kind."""

    alpha: int = 4
    beta: float = 0.5
    wide: bool = False
    kind: str = "2d"
    depths: tuple[int, ...] = (3, 4)
    stride: tuple[int, int, int] = (1, 2, 2)
    times: tuple[tuple[int, ...], ...] = ((1,), (3, 1))
    kinds: tuple[str, ...] = ("A", "B")
    norm: str | None = None
    epsilon: float | None = None


INFOS = fields.fields_of(Example)


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("alpha", "8", 8),
        ("beta", "1e-3", 1e-3),
        ("beta", "2", 2.0),
        ("wide", "True", True),
        ("wide", "false", False),
        ("kind", "3d", "3d"),
        ("depths", "(1, 2, 3)", (1, 2, 3)),
        ("depths", "1,2", (1, 2)),
        ("depths", "[7]", (7,)),
        ("depths", "7", (7,)),
        ("depths", "()", ()),
        ("stride", "1,1,2", (1, 1, 2)),
        ("times", "((1,), (3, 1))", ((1,), (3, 1))),
        ("kinds", "A,C", ("A", "C")),
        ("kinds", "('A', 'C')", ("A", "C")),
        ("norm", "group", "group"),
        ("epsilon", "0.1", 0.1),
        ("alpha", "", ""),
        ("depths", "", ""),
    ],
)
def test_text_becomes_the_value(name, text, value):
    parsed = fields.parse(INFOS[name], text, room="model")
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    "name, text, sentence",
    [
        ("alpha", "x", "model.alpha is a whole number, such as 4, not 'x'."),
        ("alpha", "8.0", "model.alpha is a whole number, such as 4, not '8.0'."),
        ("beta", "nan", "model.beta is a number, such as 0.5, not nan."),
        ("beta", "half", "model.beta is a number, such as 0.5, not 'half'."),
        ("wide", "yes", "model.wide is true or false, such as false, not 'yes'."),
        ("depths", "3,x", "model.depths is a tuple of whole numbers, such as (3, 4), not '3,x'."),
        (
            "depths",
            "1.5,2",
            "model.depths is a tuple of whole numbers, such as (3, 4), not (1.5, 2).",
        ),
        (
            "stride",
            "2,2",
            "model.stride is a tuple of 3 whole numbers, such as (1, 2, 2), not (2, 2).",
        ),
        ("times", "1,2", "a tuple of tuples of whole numbers, such as ((1,), (3, 1)), not (1, 2)."),
        ("epsilon", "small", "model.epsilon is a number, not 'small'."),
        ("depths", "__import__('os')", "not \"__import__('os')\"."),
    ],
)
def test_text_of_another_type_is_refused(name, text, sentence):
    with pytest.raises(UserError) as caught:
        fields.parse(INFOS[name], text, room="model")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "name, value",
    [
        ("alpha", True),
        ("alpha", 8.0),
        ("alpha", None),
        ("beta", "1"),
        ("beta", float("inf")),
        ("wide", 1),
        ("kind", 3),
        ("depths", 3),
        ("depths", (1, "2")),
        ("stride", (1, 2)),
        ("norm", 3),
    ],
)
def test_a_value_of_another_type_is_refused(name, value):
    with pytest.raises(UserError, match=f"^model.{name} is "):
        fields.check(INFOS[name], value, room="model")


def test_values_of_the_type_pass_and_lists_become_tuples():
    assert fields.check(INFOS["beta"], 2, room="model") == 2
    assert fields.check(INFOS["times"], [[1], [3, 1]], room="model") == ((1,), (3, 1))
    assert fields.check(INFOS["norm"], None, room="model") is None


def test_lists_of_json_become_tuples_at_any_depth():
    value = {"a": [[1, [2]], {"b": []}], "c": "text", "d": None}
    assert fields.as_tuples(value) == {"a": ((1, (2,)), {"b": ()}), "c": "text", "d": None}


def test_fields_of_a_class_without_the_hidden_ones():
    assert list(fields.fields_of(Example, hidden=("alpha", "beta")))[0] == "wide"
    assert INFOS["depths"].default == (3, 4)
