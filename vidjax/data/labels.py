"""What a horizontal flip does to a label: an index map over the classes, or a refusal to guess one."""

import re
from collections.abc import Sequence

import numpy as np

from vidjax.core.errors import DataError

DIRECTIONAL = frozenset(
    "left right leftward leftwards rightward rightwards clockwise counterclockwise anticlockwise".split()
)


def flip_map(classes: Sequence[str], swaps: Sequence[tuple[str, str]] = ()) -> np.ndarray:
    """The label each class becomes in a mirror: int32 [K], the identity but for the pairs of names in `swaps`.

    A pair of a name with itself says that this class looks the same in a mirror, whatever its name. Raises DataError
    where a pair names no class, where pairs contradict each other, and where a class has a direction in its name
    (left, counterclockwise, ...) and no pair: its mirror image would be trained under the wrong label.
    """
    index = {name: i for i, name in enumerate(classes)}
    partner: dict[str, str] = {}
    for pair in swaps:
        for name, other in (tuple(pair), tuple(pair)[::-1]):
            if name not in index:
                raise DataError(
                    f"The flip table swaps {name!r} with {other!r}, but there is no class {name!r}."
                )
            if partner.setdefault(name, other) != other:
                raise DataError(
                    f"The flip table swaps {name!r} with both {partner[name]!r} and {other!r}."
                )
    unpaired = [name for name in classes if _words(name) & DIRECTIONAL and name not in partner]
    if unpaired:
        shown = ", ".join(map(repr, unpaired[:6])) + (
            f" and {len(unpaired) - 6} more" if len(unpaired) > 6 else ""
        )
        raise DataError(
            f"A horizontal flip may change the meaning of {shown}, and no table says what each becomes.\n"
            "Set --config.augment.flip=0, or name the pairs that a flip swaps in the `flip_swaps` of the data source."
        )
    return np.array([index[partner.get(name, name)] for name in classes], np.int32)


def _words(name: str) -> set[str]:
    """The words of a name, lower case: 'Turning_hand-Left', 'turnLeft' and 'TURN LEFT' all have the word left."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
