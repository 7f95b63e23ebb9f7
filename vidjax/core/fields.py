"""The fields of a dataclass as settings that a user can name: their types, and values from text.

A setting may arrive as a value (from Python or from JSON, where a tuple is a list) or as the text
of a flag. Either way its type is checked against the annotation of the field, so that a wrong one
is told in a sentence. Only the types that settings have are known: bool, int, float, str, tuples of
these, tuples of tuples, and any of them or None.
"""

import ast
import dataclasses
import math
import types
import typing
from collections.abc import Collection
from typing import Any

from vidjax.core.errors import UserError

# type: (what one value is called, what several are called)
WORDS = {
    bool: ("true or false", "truth values"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a name", "names"),
}
TRUTH = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class FieldInfo:
    """One setting: its name, the annotation of its type, and its default."""

    name: str
    type: Any
    default: Any

    def describe(self) -> str:
        """'a whole number, such as 4', for a message."""
        words = _words(_without_none(self.type))
        if self.default in (None, "", ()):
            return words
        return f"{words}, such as {_shown(self.default)}"


def fields_of(cls: type, *, hidden: Collection[str] = ()) -> dict[str, FieldInfo]:
    """The fields of a dataclass by name, in their order, without those in `hidden`."""
    infos = {}
    for field in dataclasses.fields(cls):
        if field.name not in hidden:
            infos[field.name] = FieldInfo(field.name, field.type, field.default)
    return infos


def as_tuples(value: Any) -> Any:
    """A value of JSON with its lists, at any depth, turned into tuples."""
    if isinstance(value, list | tuple):
        return tuple(as_tuples(entry) for entry in value)
    if isinstance(value, dict):
        return {key: as_tuples(entry) for key, entry in value.items()}
    return value


def check(info: FieldInfo, value: Any, *, room: str) -> Any:
    """The value, with lists turned into tuples. Raises UserError where it is of another type.

    `room` stands before the name of the field in the message: "model" gives "model.alpha is ...".
    """
    value = as_tuples(value)  # JSON has no tuples, and fields have to be hashable
    if not _matches(value, info.type):
        raise UserError(f"{room}.{info.name} is {info.describe()}, not {_shown(value)}.")
    return value


def parse(info: FieldInfo, text: str, *, room: str) -> Any:
    """The value that the text of a flag stands for. Raises UserError where it is of another type.

    Tuples are written (1, 2, 2) or 1,2,2; a single number is a tuple of one. The empty text is
    returned as it is: it leaves the choice to whoever reads the setting.
    """
    if text == "":
        return ""
    try:
        value = _parsed(text.strip(), _without_none(info.type))
    except (ValueError, SyntaxError):
        value = text  # of no type but str, so that the check below names it as it was given
    return check(info, value, room=room)


def _parsed(text: str, wanted: Any) -> Any:
    if wanted is bool:
        return TRUTH.get(text.lower(), text)
    if wanted in (int, float):
        return wanted(text)
    if typing.get_origin(wanted) is not tuple:
        return text
    if typing.get_args(wanted)[0] is str:
        # Names may come without quotes, which no Python literal may.
        names = []
        for word in text.strip("()[]").split(","):
            name = word.strip(" '\"")
            if name:
                names.append(name)
        return tuple(names)
    value = ast.literal_eval(text)  # literals only: nothing in the text is run
    if not isinstance(value, tuple | list):
        return (value,)
    return value


def _matches(value: Any, wanted: Any) -> bool:
    """Whether a value is of the type that an annotation states."""
    if typing.get_origin(wanted) in (types.UnionType, typing.Union):
        return any(_matches(value, choice) for choice in typing.get_args(wanted))
    if wanted is types.NoneType:
        return value is None
    if typing.get_origin(wanted) is tuple:
        return isinstance(value, tuple) and _entries_match(value, typing.get_args(wanted))
    if wanted in (int, float) and isinstance(value, bool):
        return False  # True is an int to Python
    if wanted is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, wanted)


def _entries_match(values: tuple, wanted: tuple) -> bool:
    if len(wanted) == 2 and wanted[1] is Ellipsis:  # tuple[int, ...]: any number of them
        wanted = (wanted[0],) * len(values)
    if len(values) != len(wanted):
        return False
    return all(_matches(value, one) for value, one in zip(values, wanted, strict=True))


def _without_none(wanted: Any) -> Any:
    """`str` for `str | None`."""
    if typing.get_origin(wanted) not in (types.UnionType, typing.Union):
        return wanted
    for choice in typing.get_args(wanted):
        if choice is not types.NoneType:
            return choice
    return wanted


def _words(wanted: Any, *, several: bool = False) -> str:
    """'a tuple of whole numbers' for tuple[int, ...]."""
    if typing.get_origin(wanted) is not tuple:
        return WORDS[wanted][several]
    entries = typing.get_args(wanted)
    inner = _words(entries[0], several=True)
    if Ellipsis not in entries:
        inner = f"{len(entries)} {inner}"
    if several:
        return f"tuples of {inner}"
    return f"a tuple of {inner}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)
