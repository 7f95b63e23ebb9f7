"""Stride and receptive field of arrays in a network, from its traced program.

The program is followed equation by equation, once for each of time, height and width. Nothing is
computed. Putting NaN into one row of the video and looking for NaN in the outputs would be simpler,
but it needs a clip longer than the receptive field. On such a clip the network is another one: the
stride of a pathway that picks frames, a pooling window that shrinks to its map, and an average over
a single position all depend on the size of the clip.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from vidjax.analysis import primitives
from vidjax.analysis.intervals import Intervals

MAX_CONSTANT_SIZE = 4096  # elements; larger constants are weights, and never indices of frames
LOOPS = ("scan", "while", "cond")  # their programs do not simply run once

# What is known about a value of the program: how it depends on the video, or the constant that it
# is. None: neither.
Value = Intervals | np.ndarray | None


def in_words(
    time: Intervals | None, height: Intervals | None, width: Intervals | None
) -> tuple[str, str, str]:
    """(stride, frames, pixels) as "2x4x4", "25", "51x51".

    A stride is "-" where no axis of the array runs along the video, a receptive field is "all"
    where it is the whole video.
    """
    stride = f"{_stride_in_words(time)}x{_stride_in_words(height)}x{_stride_in_words(width)}"
    if stride == "-x-x-":
        stride = "-"
    pixels = f"{_extent_in_words(height)}x{_extent_in_words(width)}"
    if pixels == "allxall":
        pixels = "all"
    return stride, _extent_in_words(time), pixels


def _stride_in_words(intervals: Intervals | None) -> str:
    if intervals is None or intervals.axis is None:
        return "-"
    return f"{intervals.stride:.3g}"


def _extent_in_words(intervals: Intervals | None) -> str:
    if intervals is None:
        return "0"
    if math.isinf(intervals.extent):
        return "all"
    return str(math.ceil(intervals.extent))


def of_outputs(closed: ClosedJaxpr, *video_inputs: int) -> list[tuple[Intervals | None, ...]]:
    """How each output of a program depends on the time, height and width of the video.

    The inputs of these numbers, [N, T, H, W, C], are the video, and perhaps its optical flow. None
    stands for an output that does not depend on them.
    """
    invars = closed.jaxpr.invars
    by_axis = []
    for axis in (1, 2, 3):
        positions = np.arange(invars[video_inputs[0]].aval.shape[axis], dtype=float)
        # Each position of the video depends on itself.
        inputs: list[Value] = [None] * len(invars)
        for number in video_inputs:
            inputs[number] = Intervals(axis, first=positions, last=positions)
        outputs = follow(closed, inputs)
        by_axis.append([_intervals(value) for value in outputs])
    return list(zip(*by_axis, strict=True))


def follow(closed: ClosedJaxpr, inputs: Sequence[Value]) -> list[Value]:
    """What is known of the outputs of a program, from what is known of its inputs."""
    jaxpr = closed.jaxpr
    values = dict(zip(jaxpr.invars, inputs, strict=True))
    for var, constant in zip(jaxpr.constvars, closed.consts, strict=True):
        values[var] = _if_small(constant)

    for eqn in jaxpr.eqns:
        outputs = _of_equation(eqn, _read(values, eqn.invars))
        values.update(zip(eqn.outvars, outputs, strict=True))
    return _read(values, jaxpr.outvars)


def _read(values: dict[Var, Value], atoms: Sequence[Var | Literal]) -> list[Value]:
    read = []
    for atom in atoms:
        if isinstance(atom, Literal):
            read.append(np.asarray(atom.val))
        else:
            read.append(values.get(atom))
    return read


def _of_equation(eqn: JaxprEqn, values: list[Value]) -> list[Value]:
    # A call (jit, checkpoint) is what its program is; no rule knows about it.
    inner = _inner_program(eqn, num_inputs=len(values))
    if inner is not None:
        return follow(inner, values)
    if eqn.primitive.name == "cond" and isinstance(values[0], np.ndarray):
        # Which branch runs is known, as where it depends on the platform alone.
        return follow(eqn.params["branches"][int(values[0])], values[1:])
    fields = []
    for value, atom in zip(values, eqn.invars, strict=True):
        # Nothing can depend on an empty array, such as no channels to shift.
        is_empty = atom.aval.size == 0
        fields.append(None if is_empty else _intervals(value))
    if not any(fields):
        # Nothing here depends on the video, but indices for a later gather may be made here.
        return _fold_constants(eqn, values)
    indices = None
    if eqn.primitive.name == "gather" and isinstance(values[1], np.ndarray):
        indices = values[1]
    return primitives.outputs(eqn, fields, indices=indices)


def _inner_program(eqn: JaxprEqn, *, num_inputs: int) -> ClosedJaxpr | None:
    """The program that a call (jit, checkpoint, custom derivatives) runs on its own inputs."""
    if eqn.primitive.name in LOOPS:
        return None
    programs = [p for p in eqn.params.values() if isinstance(p, ClosedJaxpr | Jaxpr)]
    if len(programs) != 1:
        return None
    program = programs[0]
    if isinstance(program, Jaxpr):  # as that of `jax.checkpoint`, which has no constants
        program = ClosedJaxpr(program, ())
    if len(program.jaxpr.invars) != num_inputs:  # it does not run on them as they are
        return None
    return program


def _fold_constants(eqn: JaxprEqn, values: list[Value]) -> list[Value]:
    """Computes an equation of known integers: it may lead to the indices of a gather or a cond."""
    nothing_known = [None] * len(eqn.outvars)
    if eqn.primitive.multiple_results:
        return nothing_known
    out = eqn.outvars[0].aval
    is_integer = jnp.issubdtype(out.dtype, jnp.integer) or out.dtype == bool
    if not is_integer or out.size > MAX_CONSTANT_SIZE:
        return nothing_known
    inputs = []
    for value in values:
        if not isinstance(value, np.ndarray):
            return nothing_known
        inputs.append(jnp.asarray(value))
    return [np.asarray(eqn.primitive.bind(*inputs, **eqn.params))]


def _if_small(constant) -> np.ndarray | None:
    is_key = jax.dtypes.issubdtype(constant.dtype, jax.dtypes.extended)  # not an array of NumPy's
    if is_key or np.size(constant) > MAX_CONSTANT_SIZE:
        return None
    return np.asarray(constant)


def _intervals(value: Value) -> Intervals | None:
    if isinstance(value, Intervals):
        return value
    return None
