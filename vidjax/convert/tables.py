"""Tables of names: what our layers are called in another code base.

A row names a layer of ours and the same layer of theirs. Numbers in a name are placeholders, which
may be shifted on either side: with

    "backbone/stage<s>_block<b>/conv<i>/conv": "layer<s>.<b-1>.conv<i>"

our backbone/stage2_block1/conv1/conv is their layer2.0.conv1. The same row is read in both
directions: from our paths to their names to fill the variables of a network, and from their names
to our paths to recognise the network in the first place.

"Ours" is what a value is called in vidjax, "theirs" what the other code base calls it.
"""

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vidjax.convert.frameworks import PYTORCH, Framework

Path = tuple[str, ...]  # collection, modules, variable: ("params", "backbone", ..., "kernel")
Layout = Callable[[np.ndarray], np.ndarray]  # from their layout to ours

PLACEHOLDER = re.compile(r"<(\w)([+-]\d)?>")


@dataclass(frozen=True)
class Table:
    """The names of one network in another code base.

    Args:
        layers: pattern of our layers' paths -> template of their names. Where the value is a pair,
            it names the modules `conv` and `norm` below our path. A key may also be the path of a
            single variable, and the value is then the whole name of theirs. The first row that
            matches counts.
        framework: names the variables of a layer and lays them out.
        layouts: ends of our variables' paths -> a layout that differs from the framework's.
        constants: ends of our variables' paths -> the number that fills them; they have no array.
        dropped: arrays of theirs that our networks deliberately have no variable for.
    """

    layers: Mapping[str, str | tuple[str, str]]
    framework: Framework = PYTORCH
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    dropped: Collection[str] = ()

    @functools.cached_property
    def rows(self) -> list[tuple[str, str]]:
        """(our pattern, their template) of every layer, pairs of `conv` and `norm` written out."""
        rows = []
        for ours, theirs in self.layers.items():
            if isinstance(theirs, str):
                rows.append((ours, theirs))
            else:
                conv, norm = theirs
                rows.append((f"{ours}/conv", conv))
                rows.append((f"{ours}/norm", norm))
        return rows

    def their_name(self, path: Path) -> str | None:
        """Their name of a variable of ours; None where no row matches it."""
        layer = "/".join(path[1:-1])
        variable = path[-1]
        leaf = self.framework.variables(layer).get(variable)
        for ours, theirs in self.rows:
            # A row is of a single variable or of a layer, and no path matches as both.
            whole_name = rename(f"{layer}/{variable}", ours, theirs)
            if whole_name is not None:
                return whole_name
            their_layer = rename(layer, ours, theirs)
            if their_layer is not None and leaf is not None:
                return f"{their_layer}{self.framework.separator}{leaf}"
        return None

    def our_arrays(self, source: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Their arrays in our layout by our paths; names that are in no row are left out.

        A path is without the collection, such as "backbone/stem/conv/kernel". Whether a linear
        layer was written as a convolution is not known here: it stays a kernel of five axes, whose
        last one counts the outgoing channels all the same.
        """
        arrays = {}
        for name, array in source.items():
            path = self._our_path(name)
            if path is not None:
                array = np.asarray(array)
                num_axes = 5 if array.ndim >= 4 else array.ndim
                arrays[path] = self.layout_of(path, num_axes)(array)
        return arrays

    def _our_path(self, name: str) -> str | None:
        """Our path, without the collection, of a variable of theirs; None where no row matches."""
        their_layer, _, leaf = name.rpartition(self.framework.separator)
        for ours, theirs in self.rows:
            variable_path = rename(name, theirs, ours)
            if variable_path is not None:
                return variable_path
            layer = rename(their_layer, theirs, ours)
            if layer is None:
                continue
            for variable, their_variable in self.framework.variables(layer).items():
                if their_variable == leaf:
                    return f"{layer}/{variable}"
        return None

    def layout_of(self, path: str, num_axes: int) -> Layout:
        """The layout of a variable of ours that has so many axes; `path` is one with slashes."""
        special = value_by_end(self.layouts, path)
        if special is not None:
            return special
        return lambda array: self.framework.layout(array, num_axes)


def rename(name: str, pattern: str, template: str) -> str | None:
    """`name` spelled as `template`, with the numbers that `pattern` has; None if it does not match.

    rename("stage2_block3", "stage<s>_block<b>", "layer<s>.<b-1>") is "layer2.2".
    """
    match = _regex(pattern).fullmatch(name)
    if match is None:
        return None
    # What a placeholder <b-1> matches is one less than the number b that it is about.
    numbers = {}
    for letter, shift in PLACEHOLDER.findall(pattern):
        numbers[letter] = int(match[letter]) - int(shift or 0)

    def digits(placeholder: re.Match) -> str:
        letter, shift = placeholder.groups()
        return str(numbers[letter] + int(shift or 0))

    return PLACEHOLDER.sub(digits, template)


@functools.cache
def _regex(pattern: str) -> re.Pattern:
    """A pattern with placeholders as a regular expression with named groups."""
    parts = []
    end = 0
    for placeholder in PLACEHOLDER.finditer(pattern):
        parts.append(re.escape(pattern[end : placeholder.start()]))
        # Names come from strangers, and int() refuses thousands of digits: a few are enough.
        parts.append(rf"(?P<{placeholder[1]}>\d{{1,4}})")
        end = placeholder.end()
    parts.append(re.escape(pattern[end:]))
    return re.compile("".join(parts))


def value_by_end(values: Mapping[str, Any], path: str) -> Any:
    """The value whose key is the end of a path with slashes; None where there is none."""
    for end, value in values.items():
        if path == end or path.endswith(f"/{end}"):
            return value
    return None
