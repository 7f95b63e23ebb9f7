"""What a network costs and sees, told from its traced program: parameters and multiply-adds, endpoint by endpoint.

A multiply-add counts one, as in the tables of the field (often headed FLOPs there). Convolutions and matrix products
count, normalisation and pooling do not; a zero that padding adds is a position like any other. Nothing is computed.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from vidjax import models
from vidjax.analysis import receptive_field
from vidjax.analysis.receptive_field import Reach


@dataclass(frozen=True)
class Endpoint:
    """One endpoint, and what it takes beyond the endpoints before it."""

    name: str
    shapes: tuple[
        tuple[int, ...], ...
    ]  # of its arrays (one, unless there are pathways), the batch axis included
    num_parameters: int
    multiply_adds: int
    reaches: tuple[
        tuple[Reach | None, ...], ...
    ]  # of its arrays, over the time, height and width of the video


def endpoints(module: nn.Module, variables: Any, video: jax.ShapeDtypeStruct) -> list[Endpoint]:
    """The endpoints of a classifier in their order, then its logits, from shapes alone.

    `variables` is what `jax.eval_shape` gives for `module.init`, `video` float [N, T, H, W, C]. An endpoint owns the
    operations and parameters that its value needs and that none before it needed.
    """
    # Natively every convolution is in the program as such; other forms leave taps out, or compute a border.
    if hasattr(module.backbone, "style"):
        module = models.with_style(module, lowering="native")
    names = []

    def outputs(variables, video):
        out = module.apply(variables, video, method=_forward)
        names.extend(out)  # a dict comes out of a trace with its keys sorted
        return list(out.values())

    closed, shapes = jax.make_jaxpr(outputs, return_shape=True)(variables, video)
    sizes = dict(
        zip(closed.jaxpr.invars, _parameter_sizes(variables), strict=False)
    )  # the last is the video
    reaches = iter(receptive_field.of_outputs(closed, len(closed.jaxpr.invars) - 1))
    rows, seen, left = [], set(), list(closed.jaxpr.outvars)
    for name, tree in zip(names, shapes, strict=True):
        leaves = jax.tree.leaves(tree)
        own = _needed(closed.jaxpr, left[: len(leaves)]) - seen
        left, seen = left[len(leaves) :], seen | own
        equations = [eqn for i, eqn in enumerate(closed.jaxpr.eqns) if i in own]
        num_parameters = sum(size for var, size in sizes.items() if var in own)
        shapes_of = tuple(leaf.shape for leaf in leaves)
        cost, seen_of = (
            sum(map(_of_equation, equations)),
            tuple(itertools.islice(reaches, len(leaves))),
        )
        rows.append(Endpoint(name, shapes_of, num_parameters, cost, seen_of))
    return rows


def multiply_adds(jaxpr: Jaxpr) -> int:
    """Multiply-adds of all convolutions and matrix products of a program, those inside loops and calls included.

    A scan counts as often as it runs, the dearest branch of a cond counts. The body of a `while` counts once: how often
    it runs is not in the program.
    """
    return sum(map(_of_equation, jaxpr.eqns))


def num_parameters(variables: Any) -> int:
    """The number of trained values."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


def _forward(module, video):
    endpoints, logits = module.endpoints_and_logits(video)
    return {**endpoints, "logits": logits}


def _parameter_sizes(variables: Any) -> list[int]:
    """A size for each leaf in jax's order; statistics are no parameters."""
    sizes = {
        collection: jax.tree.map(
            lambda v, of=collection: math.prod(v.shape) if of == "params" else 0, tree
        )
        for collection, tree in variables.items()
    }
    return jax.tree.leaves(sizes)


def _needed(jaxpr: Jaxpr, outvars: list) -> set:
    """What some outputs depend on: indices of equations, and variables."""
    needed = {var for var in outvars if not isinstance(var, Literal)}
    for i in reversed(range(len(jaxpr.eqns))):
        eqn = jaxpr.eqns[i]
        if not needed.isdisjoint(eqn.outvars):
            needed |= {i, *(var for var in eqn.invars if not isinstance(var, Literal))}
    return needed


def _of_equation(eqn: JaxprEqn) -> int:
    name = eqn.primitive.name
    if name == "conv_general_dilated":
        return _of_convolution(eqn)
    if name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        shape = eqn.invars[0].aval.shape
        return math.prod(eqn.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)
    inner = [multiply_adds(jaxpr) for value in eqn.params.values() for jaxpr in programs_in(value)]
    if name == "scan":
        return eqn.params["length"] * sum(inner)
    return max(inner, default=0) if name == "cond" else sum(inner)


def _of_convolution(eqn: JaxprEqn) -> int:
    """Output positions times the taps of one feature; the kernel's own shape accounts for groups of both kinds."""
    kernel = eqn.invars[1].aval.shape
    taps = math.prod(kernel) // kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
    # Base dilation is a transposed convolution: most of its taps meet the holes between the values.
    return math.prod(eqn.outvars[0].aval.shape) * taps // math.prod(eqn.params["lhs_dilation"])


def programs_in(value: Any) -> Iterator[Jaxpr]:
    """The programs in a parameter of an equation: alone, or in a tuple as those of a cond."""
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from programs_in(item)
