"""Tables of names: what our layers are called in another code base, and variables filled by them.

A row names a layer of ours and the same layer of theirs. Numbers in a name are placeholders, which
may be shifted on either side: with

    "backbone/stage<s>_block<b>/conv<i>/conv": "layer<s>.<b-1>.conv<i>"

our backbone/stage2_block1/conv1/conv is their layer2.0.conv1. The same row is read in both
directions: from our paths to their names to fill the variables of a network, and from their names
to our paths to recognise the network in the first place.
"""

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.convert.frameworks import PYTORCH, Framework
from vidjax.core.errors import ConvertError

Shape = tuple[int, ...]
Path = tuple[
    str, ...
]  # collection, modules, variable: ("params", "backbone", "stem", ..., "kernel")
Layout = Callable[[np.ndarray], np.ndarray]  # from their layout to ours

PLACEHOLDER = re.compile(r"<(\w)([+-]\d)?>")
COUNTER = "num_batches_tracked"  # PyTorch's count of training steps, which no network computes with


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
                arrays[path] = self._layout(path, num_axes)(array)
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

    def _layout(self, path: str, num_axes: int) -> Layout:
        special = _by_end(self.layouts, path)
        if special is not None:
            return special
        return lambda array: self.framework.layout(array, num_axes)


@dataclass(frozen=True)
class Origin:
    """Where the values of one variable come from: an array of the source, or one number."""

    name: str = ""  # of the array
    layout: Layout = lambda array: array
    constant: float | None = None


def rename(name: str, pattern: str, template: str) -> str | None:
    """`name` spelled as `template`, with the numbers that `pattern` has; None if it does not match.

    rename("stage2_block3", "stage<s>_block<b>", "layer<s>.<b-1>") is "layer2.2".
    """
    match = _regex(pattern).fullmatch(name)
    if match is None:
        return None
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


def _by_end(values: Mapping[str, Any], path: str) -> Any:
    """The value whose key is the end of a path with slashes; None where there is none."""
    for end, value in values.items():
        if path == end or path.endswith(f"/{end}"):
            return value
    return None


def shapes(module: nn.Module, clip: Shape) -> dict[Path, Shape]:
    """The paths and shapes of a network's variables; nothing is computed.

    `clip` is a shape [N, T, H, W, C] that the network takes. A backbone that states its
    `in_channels` is given as many.
    """
    channels = getattr(module.backbone, "in_channels", clip[-1])
    video = jax.ShapeDtypeStruct((*clip[:-1], channels), jnp.float32)
    tree = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), video)
    flat = flax.traverse_util.flatten_dict(tree)
    return {path: leaf.shape for path, leaf in flat.items()}


def origins(table: Table, expected: Mapping[Path, Shape]) -> dict[Path, Origin]:
    """Where each of our variables comes from; those that the table has no name for are left out."""
    result = {}
    for path, shape in expected.items():
        constant = _by_end(table.constants, "/".join(path))
        name = table.their_name(path)
        if constant is not None:
            result[path] = Origin(constant=constant)
        elif name is not None:
            result[path] = Origin(name, table._layout("/".join(path), len(shape)))
    return result


def fill(
    source: Mapping[str, np.ndarray],
    table_origins: Mapping[Path, Origin],
    expected: Mapping[Path, Shape],
    *,
    dropped: Collection[str] = (),
) -> dict[str, Any]:
    """Our variables, float32, of arrays in a source.

    Args:
        source: their names -> arrays.
        table_origins: where each variable comes from.
        expected: the path and shape of every variable that the network has.
        dropped: names that may be left over.

    Raises ConvertError, which lists everything that is missing, left over or of another shape.
    """
    filled = {}
    faults = []
    unused = set(source) - set(dropped)
    for path, shape in expected.items():
        ours = "/".join(path)
        origin = table_origins.get(path)
        if origin is None:
            faults.append(f"{ours} is not filled")
        elif origin.constant is not None:
            filled[path] = np.full(shape, origin.constant, np.float32)
        elif origin.name not in source:
            faults.append(f"{origin.name} is missing, for {ours}")
        else:
            unused.discard(origin.name)
            array = origin.layout(np.asarray(source[origin.name]))
            if array.shape != shape:
                faults.append(
                    f"{origin.name} is {array.shape} in our layout, the model has {shape}"
                )
            filled[path] = np.ascontiguousarray(array, np.float32)
    for name in sorted(unused):
        if not name.endswith(COUNTER):
            faults.append(f"{name} is left over")
    if faults:
        raise ConvertError("these weights do not fit the model:\n  " + "\n  ".join(faults))
    return flax.traverse_util.unflatten_dict(filled)
