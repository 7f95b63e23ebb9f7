"""What each position of an array sees of the video: stride and receptive field, told from the traced program.

One axis of the video at a time. Each position of an array sees those from `first` to `last`, which follow from every
convolution, pooling, slice, padding and reshape on the way (Araujo et al., Computing Receptive Fields of Convolutional
Neural Networks, Distill 2019); branches that meet see what any of them sees. It is the field in an endless video: near
the edges of a real one, a part of it is padding. What was made of a whole axis (global averages, squeeze-excitation),
or what no rule here is about, sees all of it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

MAX_KNOWN = 4096  # values of a constant that is kept in mind: indices


@dataclass(frozen=True, eq=False)
class Reach:
    """How an array sees one axis of the video.

    `axis` is the axis of the array that runs along it, None where every element sees the same. `first` and `last` are
    what each position there sees, and `stride` is how far on the next one is, on average. Where axes were merged, a
    position is `inner` elements, and the axis may hold several runs of all positions.
    """

    axis: int | None
    first: np.ndarray
    last: np.ndarray
    stride: float = 1
    inner: int = 1

    @property
    def size(self) -> int:
        """Positions along the axis."""
        return len(self.first)

    @property
    def field(self) -> float:
        """How much of the video a position sees, the one that sees most; infinite for all of it."""
        return float((self.last - self.first + 1).max())

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(first, last) of positions, of any shape; beyond the ends they go on at the usual stride."""
        inside = np.clip(positions, 0, self.size - 1)
        beyond = (
            (positions - inside) * self.stride
            if self.axis is not None
            else np.zeros(positions.shape)
        )
        return self.first[inside] + beyond, self.last[inside] + beyond


Value = (
    Reach | np.ndarray | None
)  # None: neither made from the video nor known; an array: a known constant


def in_words(time: Reach | None, height: Reach | None, width: Reach | None) -> tuple[str, str, str]:
    """(stride, frames, pixels) as "2x4x4", "25", "51x51"; "-" where there is no stride, "all" for all of the video."""
    axes = (time, height, width)
    strides = ["-" if axis is None or axis.axis is None else f"{axis.stride:.3g}" for axis in axes]
    fields = ["0" if axis is None else _in_words(axis.field) for axis in axes]
    pixels = "all" if fields[1] == fields[2] == "all" else "x".join(fields[1:])
    return "-" if set(strides) == {"-"} else "x".join(strides), fields[0], pixels


def _in_words(field: float) -> str:
    return "all" if math.isinf(field) else str(math.ceil(field))


def everything() -> Reach:
    """Of what sees the whole axis."""
    return Reach(None, np.array([-math.inf]), np.array([math.inf]))


def of_outputs(closed: ClosedJaxpr, video: int) -> list[tuple[Reach | None, ...]]:
    """For each output of a program, its reach over time, height and width of input number `video`, [N, T, H, W, C].

    None where an output does not depend on it.
    """
    columns = []
    for axis in (1, 2, 3):
        positions = np.arange(closed.jaxpr.invars[video].aval.shape[axis], dtype=float)
        start = Reach(axis, positions, positions)
        inputs = [start if i == video else None for i in range(len(closed.jaxpr.invars))]
        columns.append([_reach(value) for value in follow(closed, inputs)])
    return list(zip(*columns, strict=True))


def follow(closed: ClosedJaxpr, inputs: Sequence[Value]) -> list[Value]:
    """The reach of a program's outputs from that of its inputs."""
    jaxpr = closed.jaxpr
    known = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= {
        var: _if_small(const) for var, const in zip(jaxpr.constvars, closed.consts, strict=True)
    }

    def read(atom):
        return np.asarray(atom.val) if isinstance(atom, Literal) else known.get(atom)

    for eqn in jaxpr.eqns:
        values = [read(atom) for atom in eqn.invars]
        known |= dict(zip(eqn.outvars, _of_equation(eqn, values), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _if_small(const) -> np.ndarray | None:
    return (
        np.asarray(const)
        if np.size(const) <= MAX_KNOWN
        and not jax.dtypes.issubdtype(const.dtype, jax.dtypes.extended)
        else None
    )


def _of_equation(eqn: JaxprEqn, values: list[Value]) -> list[Value]:
    name = eqn.primitive.name
    inner = [
        p if isinstance(p, ClosedJaxpr) else ClosedJaxpr(p, ())
        for p in eqn.params.values()
        if isinstance(p, ClosedJaxpr | Jaxpr)
    ]
    if len(inner) == 1 and name not in LOOPS and len(inner[0].jaxpr.invars) == len(values):
        return follow(inner[0], values)
    if name == "cond" and values[0] is not None:  # which platform it is, for one
        branch = eqn.params["branches"][int(values[0])]
        return follow(branch, values[1:])
    reaches = [
        _reach(value) if atom.aval.size else None
        for value, atom in zip(values, eqn.invars, strict=True)
    ]
    if not any(reaches):
        return _computed(eqn, values)
    if name == "gather":
        return [_gather(eqn, reaches, indices=values[1])]
    if name in RULES:
        found = RULES[name](eqn, reaches)
        return found if isinstance(found, list) else [found]
    if name == "optimization_barrier":
        return values
    return [_elementwise(eqn, reaches, _shape(var)) for var in eqn.outvars]


def _elementwise(eqn, reaches, out):
    """One output of what no rule is about: element by element where the shapes allow that, an axis of one for many."""
    seen, fit = [], eqn.primitive.name not in MIXING
    for reach, atom in zip(reaches, eqn.invars, strict=True):
        shape = _shape(atom)
        if reach and shape:
            fit = (
                fit
                and len(shape) == len(out)
                and all(a in (1, b) for a, b in zip(shape, out, strict=True))
            )
        if reach and reach.axis is not None and fit and shape[reach.axis] != out[reach.axis]:
            reach = _whole(reach)
        seen.append(reach)
    return _join(seen) if fit else _whole(_join([_whole(reach) for reach in seen]))


def _computed(eqn, values):
    """The outputs where they are indices, or what leads to them, made of constants alone."""
    outs = [var.aval for var in eqn.outvars]
    wanted = all(out.dtype.kind in "iub" and out.size <= MAX_KNOWN for out in outs)
    if not wanted or any(value is None for value in values) or eqn.primitive.multiple_results:
        return [None] * len(outs)
    return [np.asarray(eqn.primitive.bind(*map(jax.numpy.asarray, values), **eqn.params))]


def _reach(value: Value) -> Reach | None:
    return value if isinstance(value, Reach) else None


def _shape(atom) -> tuple[int, ...]:
    return atom.aval.shape


def _join(reaches: Iterable[Reach | None]) -> Reach | None:
    """What arrays of one shape see together, element by element."""
    reaches = [reach for reach in reaches if reach]
    placed = [reach for reach in reaches if reach.axis is not None]
    if not reaches:
        return None
    if len({(reach.axis, reach.size, reach.inner) for reach in placed}) > 1:
        return _join([_whole(reach) for reach in reaches])
    first = np.min(np.broadcast_arrays(*[reach.first for reach in reaches]), axis=0)
    last = np.max(np.broadcast_arrays(*[reach.last for reach in reaches]), axis=0)
    if not placed:
        return replace(reaches[0], first=first, last=last)
    return replace(placed[0], first=first, last=last, stride=max(reach.stride for reach in placed))


def _whole(reach: Reach | None) -> Reach | None:
    """Of what was made of all positions; where there is only one, that sees no more."""
    if reach is None or reach.size > 1:
        return reach and everything()
    return replace(reach, axis=None, inner=1)


def _windows(
    reach: Reach, eqn, *, window=1, stride=1, low=0, base=1, dilation=1, size=None
) -> Reach:
    """After a window that moves along the axis of the first input of an equation, to `size` positions.

    `low` is the padding before it, `base` how far apart the values are spread first, with nothing between them.
    """
    dim = _shape(eqn.invars[0])[reach.axis]
    size = _shape(eqn.outvars[0])[reach.axis] if size is None else size
    if (window, stride, low, base) == (1, 1, 0, 1) and size == dim:
        return reach
    if (
        reach.inner != 1 or reach.size != dim
    ):  # positions of the array are not the video's: axes were merged
        return _whole(reach)
    spread = (
        np.arange(size)[:, None] * stride - low + np.arange(window) * dilation
    )  # [size, window]
    first, last = reach.at(spread // base)
    there = spread % base == 0
    first, last = np.where(there, first, math.inf).min(1), np.where(there, last, -math.inf).max(1)
    return replace(reach, first=first, last=last, stride=reach.stride * stride / base)


def _convolution(eqn, reaches):
    reach, p = reaches[0], eqn.params
    if reach is None or reaches[1]:  # a kernel made from the video
        return _whole(_join([_whole(reach) for reach in reaches]))
    batch, feature, *spatial = p["dimension_numbers"].lhs_spec
    out_batch, _, *out_spatial = p["dimension_numbers"].out_spec
    if reach.axis is None:
        return reach
    if reach.axis == batch and p["batch_group_count"] == 1:
        return replace(reach, axis=out_batch)
    if reach.axis in (batch, feature):
        return _whole(reach)
    i = spatial.index(reach.axis)
    seen = _windows(
        reach,
        eqn,
        window=_shape(eqn.invars[1])[p["dimension_numbers"].rhs_spec[2 + i]],
        stride=p["window_strides"][i],
        low=p["padding"][i][0],
        base=p["lhs_dilation"][i],
        dilation=p["rhs_dilation"][i],
        size=_shape(eqn.outvars[0])[out_spatial[i]],
    )
    return seen if seen.axis is None else replace(seen, axis=out_spatial[i])


def _reduce_window(eqn, reaches):
    reach, p = _join(reaches), eqn.params
    if reach.axis is None:
        return reach
    return _windows(
        reach,
        eqn,
        window=p["window_dimensions"][reach.axis],
        stride=p["window_strides"][reach.axis],
        low=p["padding"][reach.axis][0],
        base=p["base_dilation"][reach.axis],
        dilation=p["window_dilation"][reach.axis],
    )


def _pad(eqn, reaches):
    reach = reaches[0] if not reaches[1] else _whole(_join([_whole(reach) for reach in reaches]))
    if reach.axis is None:
        return reach
    low, _, interior = eqn.params["padding_config"][reach.axis]
    return _windows(reach, eqn, low=low, base=interior + 1)


def _slice(eqn, reaches):
    (reach,), p = reaches, eqn.params
    if reach.axis is None:
        return reach
    stride = p["strides"][reach.axis] if p["strides"] else 1
    return _windows(reach, eqn, stride=stride, low=-p["start_indices"][reach.axis])


def _split(eqn, reaches):
    (reach,), sizes = reaches, eqn.params["sizes"]
    if reach.axis != eqn.params["axis"]:
        return [reach] * len(sizes)
    return [_windows(reach, eqn, low=-sum(sizes[:i]), size=size) for i, size in enumerate(sizes)]


def _gather(eqn, reaches, *, indices):
    """Slices of the axis as they are, or positions of it by known indices (`x[:, [0, 4, 8]]`)."""
    reach, p = reaches[0], eqn.params["dimension_numbers"]
    if reach is None or reaches[1]:
        return _whole(_join([_whole(reach) for reach in reaches]))
    if reach.axis is None:
        return reach
    dim = _shape(eqn.invars[0])[reach.axis]
    kept = [
        a
        for a in range(len(_shape(eqn.invars[0])))
        if a not in p.collapsed_slice_dims + p.operand_batching_dims
    ]
    if reach.axis in kept and eqn.params["slice_sizes"][reach.axis] == dim:
        return replace(reach, axis=p.offset_dims[kept.index(reach.axis)])
    chosen = (
        p.collapsed_slice_dims == p.start_index_map == (reach.axis,)
        and indices is not None
        and indices.ndim == 2
    )
    if not chosen or reach.inner != 1 or reach.size != dim:
        return _whole(reach)
    (axis,) = set(range(len(_shape(eqn.outvars[0])))) - set(p.offset_dims)
    positions = indices[:, 0]
    first, last = reach.at(positions)
    apart = (positions[-1] - positions[0]) / max(1, len(positions) - 1) or 1
    return replace(reach, axis=axis, first=first, last=last, stride=reach.stride * float(apart))


def _concatenate(eqn, reaches):
    axis, shapes = eqn.params["dimension"], [_shape(atom) for atom in eqn.invars]
    along = [(i, reach) for i, reach in enumerate(reaches) if reach and reach.axis == axis]
    if not along:
        return _join(reaches)
    if any(reach.inner != 1 or reach.size != shapes[i][axis] for i, reach in along):
        return everything()
    starts = [sum(shape[axis] for shape in shapes[:i]) for i in range(len(shapes))]
    # What is not made from the video (zeros) stands for more of it, as padding does.
    i, reach = along[0]
    first, last = reach.at(np.arange(_shape(eqn.outvars[0])[axis]) - starts[i])
    for start, shape, reach in zip(starts, shapes, reaches, strict=True):
        if reach:
            first[start : start + shape[axis]], last[start : start + shape[axis]] = (
                reach.first,
                reach.last,
            )
    return Reach(axis, first, last, max(reach.stride for _, reach in along))


def _transpose(eqn, reaches):
    (reach,) = reaches
    return (
        reach
        if reach.axis is None
        else replace(reach, axis=eqn.params["permutation"].index(reach.axis))
    )


def _reshape(eqn, reaches):
    """In the order of memory the positions stay where they are: `step` elements each, over and over."""
    (reach,), old, new = reaches, _shape(eqn.invars[0]), _shape(eqn.outvars[0])
    if reach.axis is None:
        return reach
    step = reach.inner * math.prod(old[reach.axis + 1 :])
    rests = [math.prod(new[axis + 1 :]) for axis in range(len(new))]
    fits = [
        axis
        for axis, (rest, dim) in enumerate(zip(rests, new, strict=True))
        if step % rest == 0 and (rest * dim) % (step * reach.size) == 0
    ]
    if not fits:  # the axis was cut
        return _whole(reach)
    # A single position fits several axes: the likeliest has it alone, and the same axes behind it, or before it.
    alone = [axis for axis in fits if rests[axis] == step and new[axis] == reach.size]
    moved = reach.axis + len(new) - len(old)
    likely = moved if moved >= 0 and old[reach.axis :] == new[moved:] else reach.axis
    axis = min(alone or fits, key=lambda axis: abs(axis - likely))
    return replace(reach, axis=axis, inner=step // rests[axis])


def _without(reach: Reach, axes: Sequence[int]) -> Reach:
    """After some axes of the array are gone."""
    if reach.axis is None or reach.axis in axes:
        return _whole(reach)
    return replace(reach, axis=reach.axis - sum(axis < reach.axis for axis in axes))


def _broadcast(eqn, reaches):
    reach = reaches[0]
    if reach.axis is None:
        return reach
    axis = eqn.params["broadcast_dimensions"][reach.axis]
    if _shape(eqn.outvars[0])[axis] != _shape(eqn.invars[0])[reach.axis]:
        return _whole(reach)
    return replace(reach, axis=axis)


def _product(eqn, reaches):
    """dot_general: its output has the batch axes, then what is left of the first array, then of the second."""
    contracted, batch = eqn.params["dimension_numbers"]
    gone = [(*contracted[i], *batch[i]) for i in (0, 1)]
    left = [
        [axis for axis in range(len(_shape(eqn.invars[i]))) if axis not in gone[i]] for i in (0, 1)
    ]
    seen = []
    for i, reach in enumerate(reaches):
        if reach and reach.axis in contracted[i]:
            reach = _whole(reach)
        elif reach and reach.axis is not None:
            order = [*batch[i], *([None] * len(left[0]) if i else []), *left[i]]
            reach = replace(reach, axis=order.index(reach.axis))
        seen.append(reach)
    return _join(seen)


LOOPS = ("scan", "while", "cond")
# shapes in and out are the same, and yet an element depends on others
MIXING = ("rev", "sort", "cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "fft", *LOOPS)
RULES = {
    "conv_general_dilated": _convolution,
    "pad": _pad,
    "slice": _slice,
    "split": _split,
    "concatenate": _concatenate,
    "transpose": _transpose,
    "reshape": _reshape,
    "squeeze": lambda eqn, reaches: _without(reaches[0], eqn.params["dimensions"]),
    "broadcast_in_dim": _broadcast,
    "dot_general": _product,
    **{f"reduce_window{kind}": _reduce_window for kind in ("", "_sum", "_max", "_min")},
    **{
        name: lambda eqn, reaches: _without(_join(reaches), eqn.params["axes"])
        for name in (
            "reduce_sum",
            "reduce_max",
            "reduce_min",
            "reduce_prod",
            "reduce_and",
            "reduce_or",
            "argmax",
        )
    },
}
