"""How each primitive of a traced program changes the intervals of the arrays that it reads.

A rule takes an equation and the intervals of its inputs (None for an input that does not depend on
the video). At least one of them is along an axis. The rule returns the intervals of the output.
Where it cannot follow the axis, it says that the output depends on the whole video: too much, never
too little. Networks are lowered natively before their endpoints are counted, so there are rules for
the primitives of native convolutions, pooling and linear layers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jax.extend.core import JaxprEqn, Var

from vidjax.analysis.intervals import Intervals, union, union_mixed

Fields = Sequence[Intervals | None]
INPUT = 0  # number of the array that a primitive windows, cuts, reshapes or reduces

# Shapes in and out are the same, and yet an element depends on others than its own. A loop may do
# anything with its inputs.
NOT_ELEMENTWISE = (
    "rev",
    "sort",
    "fft",
    "scan",
    "while",
    "cond",
)


def elementwise(eqn: JaxprEqn, fields: Fields, out: Var) -> Intervals | None:
    """What has no rule: element by element if all shapes allow that, otherwise mixed."""
    if eqn.primitive.name in NOT_ELEMENTWISE:
        return union_mixed(fields)
    broadcast_fields = []
    for field, atom in zip(fields, eqn.invars, strict=True):
        shape = atom.aval.shape
        if field is not None and not _broadcasts(shape, out.aval.shape):
            return union_mixed(fields)
        if field is not None and field.axis is not None:
            if shape[field.axis] != out.aval.shape[field.axis]:
                field = field.mixed()  # one position for many
        broadcast_fields.append(field)
    return union(broadcast_fields)


def _broadcasts(shape: Sequence[int], out_shape: Sequence[int]) -> bool:
    """Whether an array is a scalar, or of the shape of the output but for axes of one position."""
    if not shape:
        return True
    if len(shape) != len(out_shape):
        return False
    for size, out_size in zip(shape, out_shape, strict=True):
        if size not in (1, out_size):
            return False
    return True


def convolution(eqn: JaxprEqn, fields: Fields) -> Intervals | None:
    """Windows along the spatial axes; the batch axis stays, features are mixed."""
    field, kernel_field = fields
    if field is None or kernel_field is not None:  # the kernel was computed from the video
        return union_mixed(fields)
    layout = eqn.params["dimension_numbers"]
    batch, feature, *spatial = layout.lhs_spec
    out_batch, _, *out_spatial = layout.out_spec
    if field.axis == batch and eqn.params["batch_group_count"] == 1:
        return field.on_axis(out_batch)
    if field.axis in (batch, feature):
        return field.mixed()  # a filter adds up all features
    # Spatial axes have their settings in the order of the layout, not of the array.
    i = spatial.index(field.axis)
    kernel_shape = eqn.invars[1].aval.shape
    after = field.under_window(
        eqn.outvars[0].aval.shape[out_spatial[i]],
        window=kernel_shape[layout.rhs_spec[2 + i]],
        stride=eqn.params["window_strides"][i],
        padding=eqn.params["padding"][i][0],
        dilation=eqn.params["rhs_dilation"][i],
        base_dilation=eqn.params["lhs_dilation"][i],
    )
    return after.on_axis(out_spatial[i])


def reduce_window(eqn: JaxprEqn, fields: Fields) -> Intervals:
    """Pooling: a window along every axis, most of them of one position."""
    field = fields[INPUT]
    axis = field.axis
    return field.under_window(
        eqn.outvars[0].aval.shape[axis],
        window=eqn.params["window_dimensions"][axis],
        stride=eqn.params["window_strides"][axis],
        padding=eqn.params["padding"][axis][0],
        dilation=eqn.params["window_dilation"][axis],
        base_dilation=eqn.params["base_dilation"][axis],
    )


def pad(eqn: JaxprEqn, fields: Fields) -> Intervals | None:
    """Padding at both ends, of negative size where it cuts, and between the values."""
    field, value_field = fields
    if value_field is not None:
        return union_mixed(fields)
    before, _, interior = eqn.params["padding_config"][field.axis]
    num_outputs = eqn.outvars[0].aval.shape[field.axis]
    return field.under_window(num_outputs, padding=before, base_dilation=interior + 1)


def slice_(eqn: JaxprEqn, fields: Fields) -> Intervals:
    """Every position of a range, or every `stride`-th."""
    field = fields[INPUT]
    axis = field.axis
    stride = 1
    if eqn.params["strides"] is not None:  # None stands for a stride of 1 on every axis
        stride = eqn.params["strides"][axis]
    # What is cut off at the front is padding of negative size.
    cut = eqn.params["start_indices"][axis]
    return field.under_window(eqn.outvars[0].aval.shape[axis], stride=stride, padding=-cut)


def split(eqn: JaxprEqn, fields: Fields) -> list[Intervals]:
    """One result for each output."""
    field = fields[INPUT]
    sizes = eqn.params["sizes"]
    if field.axis != eqn.params["axis"]:
        return [field] * len(sizes)
    pieces = []
    start = 0
    for size in sizes:
        pieces.append(field.under_window(size, padding=-start))
        start += size
    return pieces


def gather(eqn: JaxprEqn, fields: Fields, indices: np.ndarray | None) -> Intervals | None:
    """Slices that keep the whole axis, or positions that known indices pick (`x[:, [0, 5, 9]]`).

    Indices that were computed from values of the program are not known: None.
    """
    field, indices_field = fields
    if field is None or indices_field is not None:
        return union_mixed(fields)
    numbers = eqn.params["dimension_numbers"]
    shape = eqn.invars[INPUT].aval.shape
    # An axis is kept if slices go along it; `offset_dims` says where in the output.
    dropped = numbers.collapsed_slice_dims + numbers.operand_batching_dims
    kept = _remaining_axes(len(shape), dropped)
    if field.axis in kept and eqn.params["slice_sizes"][field.axis] == shape[field.axis]:
        return field.on_axis(numbers.offset_dims[kept.index(field.axis)])
    picks_positions = numbers.collapsed_slice_dims == numbers.start_index_map == (field.axis,)
    if not picks_positions or indices is None or indices.ndim != 2:
        return field.mixed()
    positions = indices[:, 0]  # [positions, 1] -> [positions]
    # The one axis of the output that is not from the slices runs over the indices.
    (axis,) = _remaining_axes(len(eqn.outvars[0].aval.shape), numbers.offset_dims)
    first, last = field.at(positions)
    stride = field.stride
    distance = positions[-1] - positions[0]
    if distance != 0:  # of one position, or the same one repeated, there is no distance
        stride *= float(distance / (len(positions) - 1))
    return Intervals(axis, first, last, stride)


def concatenate(eqn: JaxprEqn, fields: Fields) -> Intervals | None:
    """Pieces behind each other along one axis; along the others, arrays side by side."""
    axis = eqn.params["dimension"]
    along_axis = [field for field in fields if field is not None and field.axis == axis]
    if not along_axis:
        return union(fields)  # such as branches whose features are put together
    sizes = [atom.aval.shape[axis] for atom in eqn.invars]
    starts = np.cumsum([0, *sizes[:-1]])
    # An array that does not depend on the video (zeros, for the temporal shift) is padding: its
    # positions continue the intervals of an array beside it.
    i = fields.index(along_axis[0])
    first, last = fields[i].at(np.arange(sum(sizes)) - starts[i])
    stride = 0.0
    for field, start, size in zip(fields, starts, sizes, strict=True):
        if field is None:
            continue
        if field.axis not in (axis, None):
            return union_mixed(fields)
        first[start : start + size] = field.first
        last[start : start + size] = field.last
        if field.axis == axis:
            stride = max(stride, field.stride)
    return Intervals(axis, first, last, stride)


def transpose(eqn: JaxprEqn, fields: Fields) -> Intervals:
    """The axis moves, its positions keep their intervals."""
    field = fields[INPUT]
    return field.on_axis(eqn.params["permutation"].index(field.axis))


def reshape(eqn: JaxprEqn, fields: Fields) -> Intervals:
    """An axis survives where it keeps its size and as many elements before it, and so behind it.

    One that is merged with another, or cut, does not: networks do that before they mix it, as
    where frames become channels or a linear layer takes the whole map.
    """
    field = fields[INPUT]
    old, new = eqn.invars[INPUT].aval.shape, eqn.outvars[0].aval.shape
    same = []
    for axis, size in enumerate(new):
        same_size = size == old[field.axis]
        if same_size and math.prod(new[:axis]) == math.prod(old[: field.axis]):
            same.append(axis)
    if not same:
        return field.mixed()
    # Several axes of one position may do. The nearest is the one that did not move.
    return field.on_axis(min(same, key=lambda axis: abs(axis - field.axis)))


def squeeze(eqn: JaxprEqn, fields: Fields) -> Intervals:
    """Axes of one position are removed."""
    return _without_axes(fields[INPUT], eqn.params["dimensions"])


def reduction(eqn: JaxprEqn, fields: Fields) -> Intervals:
    """Sums, maxima and the like over whole axes."""
    return _without_axes(fields[INPUT], eqn.params["axes"])


def cumulative(eqn: JaxprEqn, fields: Fields) -> Intervals:
    """Sums and the like of all positions up to each one; of an endless video, all before it."""
    field = fields[INPUT]
    if field.axis != eqn.params["axis"]:
        return field
    endless = np.full(len(field.first), math.inf)
    if eqn.params["reverse"]:
        first = np.minimum.accumulate(field.first[::-1])[::-1]
        return replace(field, first=first, last=endless)
    return replace(field, first=-endless, last=np.maximum.accumulate(field.last))


def _without_axes(field: Intervals, axes: Sequence[int]) -> Intervals:
    """After some axes of the array were removed or reduced."""
    if field.axis in axes:
        return field.mixed()
    # An axis moves forward by as many as were removed before it. Which axes are behind it does not
    # matter.
    return field.on_axis(_remaining_axes(field.axis + 1, axes).index(field.axis))


def _remaining_axes(num_axes: int, removed: Sequence[int]) -> list[int]:
    return [axis for axis in range(num_axes) if axis not in removed]


def broadcast(eqn: JaxprEqn, fields: Fields) -> Intervals:
    """Axes are added, or axes of one position become longer."""
    field = fields[INPUT]
    axis = eqn.params["broadcast_dimensions"][field.axis]
    if eqn.outvars[0].aval.shape[axis] != eqn.invars[INPUT].aval.shape[field.axis]:
        return field.mixed()  # one position became many
    return field.on_axis(axis)


def dot_general(eqn: JaxprEqn, fields: Fields) -> Intervals | None:
    """The output has the batch axes, then what remains of the first input, then of the second."""
    contracted, batch = eqn.params["dimension_numbers"]
    remaining = []
    for i in (0, 1):
        num_axes = len(eqn.invars[i].aval.shape)
        remaining.append(_remaining_axes(num_axes, (*contracted[i], *batch[i])))
    num_batch, num_first = len(batch[0]), len(remaining[0])
    moved = []
    for i, offset in ((0, num_batch), (1, num_batch + num_first)):
        field = fields[i]
        if field is None or field.axis is None:
            moved.append(field)
        elif field.axis in contracted[i]:
            moved.append(field.mixed())  # a sum over the axis
        elif field.axis in batch[i]:
            moved.append(field.on_axis(batch[i].index(field.axis)))
        else:
            moved.append(field.on_axis(offset + remaining[i].index(field.axis)))
    return union(moved)


RULES: dict[str, Callable[[JaxprEqn, Fields], Intervals | list[Intervals] | None]] = {
    "conv_general_dilated": convolution,
    "reduce_window": reduce_window,
    "reduce_window_sum": reduce_window,
    "reduce_window_max": reduce_window,
    "reduce_window_min": reduce_window,
    "pad": pad,
    "slice": slice_,
    "split": split,  # the only one with several outputs
    "concatenate": concatenate,
    "transpose": transpose,
    "reshape": reshape,
    "squeeze": squeeze,
    "broadcast_in_dim": broadcast,
    "dot_general": dot_general,
    "reduce_sum": reduction,
    "reduce_max": reduction,
    "reduce_min": reduction,
    "reduce_prod": reduction,
    "reduce_and": reduction,
    "reduce_or": reduction,
    "argmax": reduction,
    "cumsum": cumulative,
    "cumprod": cumulative,
    "cummax": cumulative,
    "cummin": cumulative,
    "cumlogsumexp": cumulative,
}


def outputs(
    eqn: JaxprEqn, fields: Fields, *, indices: np.ndarray | None = None
) -> list[Intervals | None]:
    """The intervals of all outputs of an equation without a program inside.

    `indices` are the positions that a gather picks, if they are known.
    """
    if all(field is None or field.axis is None for field in fields):
        # All elements of an input depend on the same interval, wherever they go.
        return [union(fields)] * len(eqn.outvars)
    name = eqn.primitive.name
    if name == "gather":
        return [gather(eqn, fields, indices)]
    if name == "optimization_barrier":  # hands several arrays on as they are
        return list(fields)
    if name not in RULES:
        # Arithmetic and activations, by far the most primitives, and loops.
        return [elementwise(eqn, fields, out) for out in eqn.outvars]
    result = RULES[name](eqn, fields)
    if eqn.primitive.multiple_results:
        return result
    return [result]
