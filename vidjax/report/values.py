"""Values as they come out of JSON, and how they are written on a page and in a picture."""

import math
from typing import Any

PERCENT = "%"  # the unit of a share in 0..1 that is shown in per cent
NOTHING = "–"  # stands where there is no number


def as_dict(value: Any) -> dict[str, Any]:
    """The value if it is a JSON object, otherwise {}."""
    if isinstance(value, dict):
        return value
    return {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a JSON array, otherwise []."""
    if isinstance(value, list):
        return value
    return []


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number. In Python, True is an int; here it is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any) -> float:
    """The value as a float, NaN for anything that is not a number."""
    if is_number(value):
        return float(value)
    return math.nan


def count(value: float) -> str:
    """1234.0 -> '1,234'."""
    if math.isnan(value):
        return NOTHING
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """0.0407 -> '4.1 %'."""
    if math.isnan(share):
        return NOTHING
    return f"{100 * share:.1f} %"


def rough_percent(share: float) -> str:
    """0.0407 -> '4 %', for the short label behind a bar."""
    if math.isnan(share):
        return NOTHING
    # A small probability must not read as an impossible one.
    if 0 < share < 0.005:
        return "< 1 %"
    return f"{100 * share:.0f} %"


def bar_width(share: float) -> str:
    """The width of a bar in per cent of its room; '0.0' where there is no number."""
    if math.isnan(share):
        return "0.0"
    return f"{100 * min(1.0, max(0.0, share)):.1f}"


def with_unit(value: float, unit: str) -> str:
    """A number of an evaluation: a share in per cent, an int as a count, others to 4 decimals."""
    if math.isnan(value):
        return NOTHING
    if unit == PERCENT:
        return percent(value)
    if isinstance(value, int):
        text = count(value)
    else:
        text = f"{value:,.4f}"
    return f"{text} {unit}".strip()


def short_count(step: float) -> str:
    """1500 -> '1.5k', 20000 -> '20k'."""
    if abs(step) >= 1e6:
        return f"{step / 1e6:g}M"
    if abs(step) >= 1e3:
        return f"{step / 1e3:g}k"
    return f"{step:g}"
