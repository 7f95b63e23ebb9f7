"""Parameters, multiply-adds and receptive fields of a network, endpoint by endpoint.

All is read from the traced program; nothing is computed. A multiply-add counts one, as in the
tables of the field, where it is often headed FLOPs. Convolutions and matrix products count,
normalisation and pooling do not. A zero that padding adds counts as any other value.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from vidjax import models
from vidjax.analysis import receptive_field
from vidjax.analysis.intervals import Intervals


@dataclass(frozen=True)
class Endpoint:
    """One endpoint of a network, or its logits.

    Args:
        name: "stem", "stage1", ..., "features", "logits".
        shapes: of its arrays, with the batch axis; one array, except where pathways are a tuple.
        num_parameters: those that this endpoint uses and no endpoint before it.
        multiply_adds: those computed for this endpoint and for no endpoint before it.
        receptive_fields: for each array, how it depends on time, height and width of the video;
            None where it does not (`receptive_field.in_words` puts the three into words).
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    num_parameters: int
    multiply_adds: int
    receptive_fields: tuple[tuple[Intervals | None, ...], ...]


def endpoints(module: nn.Module, variables: Any, video: jax.ShapeDtypeStruct) -> list[Endpoint]:
    """The endpoints of a classifier in the order of its program, then its logits.

    Args:
        module: a `models.Classifier`.
        variables: its variables, or their shapes: what `jax.eval_shape` gives for `module.init`.
        video: the shape of the input, [N, T, H, W, C] (of two pathways: a pair).
    """
    # Lowered natively, every convolution is in the program as such. Other lowerings leave out taps
    # that meet padding alone, or compute a border that they drop again.
    module = models.with_style(module, lowering="native")
    names = []

    def all_outputs(variables, video):
        endpoints, logits = module.apply(variables, video, method="endpoints_and_logits")
        outputs = {**endpoints, "logits": logits}
        # A dict would come out of the trace with its keys sorted.
        names.extend(outputs)
        return list(outputs.values())

    closed, trees = jax.make_jaxpr(all_outputs, return_shape=True)(variables, video)
    jaxpr = closed.jaxpr
    parameter_sizes = _parameter_sizes(jaxpr, variables)
    # The video comes last. Of SlowFast's pair only the fast pathway counts; two streams read one
    # clip, so that both count.
    clips = jax.tree.leaves(video)
    first = len(jaxpr.invars) - len(clips)
    size = clips[-1].shape[1:4]
    inputs = [first + place for place, clip in enumerate(clips) if clip.shape[1:4] == size]
    fields = receptive_field.of_outputs(closed, *inputs)

    # Every equation and parameter belongs to the first endpoint that depends on it.
    rows = []
    counted_equations: set[int] = set()
    counted_vars: set[Var] = set()
    start = 0
    for name, tree in zip(names, trees, strict=True):
        leaves = jax.tree.leaves(tree)
        outputs = slice(start, start + len(leaves))  # of the program: those of this endpoint
        start = outputs.stop
        equations, vars_ = _dependencies(jaxpr, jaxpr.outvars[outputs])
        new_parameters = 0
        for var in vars_ - counted_vars:
            # The results of equations are among the variables, too, and are no parameters.
            new_parameters += parameter_sizes.get(var, 0)
        new_multiply_adds = 0
        for i in equations - counted_equations:
            new_multiply_adds += _of_equation(jaxpr.eqns[i])
        counted_equations |= equations
        counted_vars |= vars_
        rows.append(
            Endpoint(
                name,
                shapes=tuple(leaf.shape for leaf in leaves),
                num_parameters=new_parameters,
                multiply_adds=new_multiply_adds,
                receptive_fields=tuple(fields[outputs]),
            )
        )
    return rows


def multiply_adds(jaxpr: Jaxpr) -> int:
    """Multiply-adds of all convolutions and matrix products of a program, at any depth.

    The body of a scan counts as often as it runs, the dearest branch of a cond counts. The body of
    a `while` counts once: how often it runs is not in the program.
    """
    return sum(_of_equation(eqn) for eqn in jaxpr.eqns)


def num_parameters(variables: Any) -> int:
    """The number of trained values; statistics are none."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


def programs_in(value: Any) -> Iterator[Jaxpr]:
    """The programs in a parameter of an equation: one, or several in a tuple as those of a cond."""
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from programs_in(item)


def _parameter_sizes(jaxpr: Jaxpr, variables: Any) -> dict[Var, int]:
    """How many trained values each input of a program holds that takes `variables` first."""
    sizes = {}
    leaves = jax.tree.leaves_with_path(variables)
    # The inputs behind the variables are the video's.
    for var, (path, leaf) in zip(jaxpr.invars, leaves, strict=False):
        collection = path[0].key
        if collection == "params":
            sizes[var] = math.prod(leaf.shape)
    return sizes


def _dependencies(jaxpr: Jaxpr, outvars: list) -> tuple[set[int], set[Var]]:
    """What some outputs of a program depend on: indices of its equations, and variables."""
    equations = set()
    variables = _variables(outvars)
    # Backwards, since the equations that use a value stand behind the one that computes it.
    for i in reversed(range(len(jaxpr.eqns))):
        eqn = jaxpr.eqns[i]
        if not variables.isdisjoint(eqn.outvars):
            equations.add(i)
            variables |= _variables(eqn.invars)
    return equations, variables


def _variables(atoms: Sequence[Any]) -> set[Var]:
    # A literal stands in the equation itself and depends on nothing.
    return {atom for atom in atoms if not isinstance(atom, Literal)}


def _of_equation(eqn: JaxprEqn) -> int:
    name = eqn.primitive.name
    if name == "conv_general_dilated":
        return _of_convolution(eqn)
    if name == "dot_general":
        return _of_dot_general(eqn)
    # What is left costs nothing itself, but may run programs: loops, calls, branches.
    inner = []
    for value in eqn.params.values():
        for program in programs_in(value):
            inner.append(multiply_adds(program))
    if name == "scan":
        return eqn.params["length"] * sum(inner)
    if name == "cond":
        return max(inner)
    return sum(inner)


def _of_convolution(eqn: JaxprEqn) -> int:
    """Values of the output times the weights of one filter, whose shape accounts for groups."""
    kernel_shape = eqn.invars[1].aval.shape
    features_axis = eqn.params["dimension_numbers"].rhs_spec[0]
    weights_of_filter = math.prod(kernel_shape) // kernel_shape[features_axis]
    products = math.prod(eqn.outvars[0].aval.shape) * weights_of_filter
    # In a transposed convolution most weights of a filter meet the holes between spread values.
    return products // math.prod(eqn.params["lhs_dilation"])


def _of_dot_general(eqn: JaxprEqn) -> int:
    """Values of the output times the length of the sum that each of them is."""
    (contracted, _), _ = eqn.params["dimension_numbers"]
    shape = eqn.invars[0].aval.shape
    length = 1
    for axis in contracted:
        length *= shape[axis]
    return math.prod(eqn.outvars[0].aval.shape) * length
