"""Checks of field values, each of which refuses in one sentence that names the field.

They run when a network is built, before anything is traced. All of them raise UserError.
"""

from collections.abc import Sequence
from typing import Any

from vidjax.core.errors import UserError
from vidjax.core.names import did_you_mean


def one_of(field: str, value: str, known: Sequence[str], *, room: str = "model") -> None:
    """Refuses a name that is not among the known ones, and suggests the nearest."""
    if value not in known:
        hint = did_you_mean(str(value), known)
        shown = ", ".join(name or "'' (none)" for name in known)
        raise UserError(f"{room}.{field} is {value!r}; it is one of {shown}.{hint}")


def at_least(field: str, value: float, least: float, *, room: str = "model") -> None:
    """Refuses a number below the least."""
    if value < least:
        raise UserError(f"{room}.{field} is {value}; it is {least} or more.")


def above_zero(field: str, value: float, *, room: str = "model") -> None:
    """Refuses zero and negative numbers, such as a width that leaves no channels."""
    if value <= 0:
        raise UserError(f"{room}.{field} is {value}; it is above 0.")


def share(field: str, value: float, *, room: str = "model") -> None:
    """Refuses a rate outside [0, 1)."""
    if not 0 <= value < 1:
        raise UserError(f"{room}.{field} is {value}; it is at least 0 and less than 1.")


def not_empty(field: str, value: Sequence[Any], *, room: str = "model") -> None:
    """Refuses an empty tuple."""
    if not value:
        raise UserError(f"{room}.{field} is empty; it has at least one entry.")


def sizes(field: str, value: Sequence[int], *, room: str = "model") -> None:
    """Refuses numbers below 1 among kernel sizes, strides, windows or numbers of channels."""
    for size in value:
        if size < 1:
            raise UserError(f"{room}.{field} has the entry {size}; each is 1 or more.")


def stages(field: str, value: Sequence[Any], count: int) -> None:
    """Refuses a tuple that does not have one entry for each stage."""
    if len(value) != count:
        raise UserError(f"model.{field} is {value}; it has {count} entries, one for each stage.")


def depths(field: str, value: Sequence[int], count: int) -> None:
    """Refuses numbers of blocks that are not one for each stage, each at least 1."""
    stages(field, value, count)
    sizes(field, value)
