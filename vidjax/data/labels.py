"""What a horizontal flip does to a label: an index map over the classes, or a refusal to guess."""

import re
from collections.abc import Sequence

import numpy as np

from vidjax.core.errors import DataError

DIRECTIONAL = frozenset(
    (
        "left",
        "right",
        "leftward",
        "leftwards",
        "rightward",
        "rightwards",
        "clockwise",
        "counterclockwise",
        "anticlockwise",
    )
)
MAX_SHOWN = 6  # classes that a message names


def flip_map(classes: Sequence[str], swaps: Sequence[tuple[str, str]] = ()) -> np.ndarray:
    """The class that each class becomes in a mirror, int32 [K].

    Raises DataError where a pair names no class, where pairs contradict each other, and where a
    class has a direction in its name (left, counterclockwise, ...) and stands in no pair: its
    mirror image would be trained under the wrong label.

    Args:
        classes: names, in the order of their indices.
        swaps: pairs of names that a flip swaps; all other classes stay. A name paired with itself
            is a class that looks the same in a mirror, in spite of a direction in its name.
    """
    partners = _partners(classes, swaps)
    unpaired = [name for name in classes if _has_direction(name) and name not in partners]
    if unpaired:
        shown = ", ".join(repr(name) for name in unpaired[:MAX_SHOWN])
        if len(unpaired) > MAX_SHOWN:
            shown += f" and {len(unpaired) - MAX_SHOWN} more"
        raise DataError(
            f"A horizontal flip may change the meaning of {shown}, "
            "and no table says what each becomes.\n"
            "Set --config.augment.flip=0, or name the pairs that a flip swaps: in the `flip_swaps` "
            "of the data source,\nof a manifest --config.data.manifest.swaps=left:right."
        )
    index_of = {name: index for index, name in enumerate(classes)}
    return np.array([index_of[partners.get(name, name)] for name in classes], np.int32)


def _partners(classes: Sequence[str], swaps: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The name that each name in a pair becomes. Raises DataError, as flip_map says."""
    partners: dict[str, str] = {}
    for first, second in swaps:
        for name, other in ((first, second), (second, first)):
            if name not in classes:
                raise DataError(
                    f"The flip table swaps {name!r} with {other!r}, but there is no class {name!r}."
                )
            if partners.setdefault(name, other) != other:
                raise DataError(
                    f"The flip table swaps {name!r} with both {partners[name]!r} and {other!r}."
                )
    return partners


def _has_direction(name: str) -> bool:
    """Whether a word of a name is a direction, however it is spelt: turn-LEFT, turnLeft."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return any(word.lower() in DIRECTIONAL for word in words)
