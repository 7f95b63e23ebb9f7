"""The gradient of the input on a CPU: a convolution for each phase of the stride, or col2im.

Automatic differentiation gives a convolution over dy with stride - 1 zeros between its values,
which compilers are slow at on a CPU. Here each phase of the stride is a dense convolution of dy
with the taps that meet it, flipped.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.conv import kernels
from vidjax.ops.conv.matmul import contract
from vidjax.ops.conv.phases import interleave
from vidjax.ops.conv.product import product
from vidjax.ops.conv.spec import Size, Spec
from vidjax.ops.conv.windows import taps
from vidjax.ops.conv.winograd import winograd

# How to convolve, for (kernel_shape, spec, size): one of the functions of `rule.FORMS`.
Choose = Callable[[tuple[int, ...], Spec, tuple[int, ...]], Callable]


def by_phases(
    dy: jax.Array, kernel: jax.Array, spec: Spec, *, size: tuple[int, ...], choose: Choose
) -> jax.Array:
    """Computes dL/dx phase by phase.

    Args:
      dy: the gradient of the output [N, T', H', W', F].
      kernel: [kt, kh, kw, C / groups, F].
      spec: how the kernel moves over the clip.
      size: the clip's (T, H, W).
      choose: gives the form for each of the convolutions.

    Returns:
      dL/dx [N, T, H, W, C].
    """
    kernel = kernels.dilate_strided_axes(kernel, spec)
    phases = []
    step_t, step_h, step_w = spec.stride
    for phase in itertools.product(range(step_t), range(step_h), range(step_w)):
        phases.append(_phase_gradient(dy, kernel, spec, phase=phase, size=size, choose=choose))
    # The phases of a strided axis are those of the padded clip; elsewhere padding is left out.
    starts = []
    for (before, _), stride in zip(spec.padding, spec.stride, strict=True):
        starts.append(before if stride > 1 else 0)
    return interleave(phases, spec.stride, starts=starts, size=size)


def _phase_gradient(dy, kernel, spec, *, phase, size, choose):
    """dL/dx at the positions phase, phase + stride, ... of the padded clip, [N, Qt, Qh, Qw, C].

    `kernel` has had its dilation written out where there is a stride, so that the taps that meet a
    phase are every stride-th one.
    """
    step_t, step_h, step_w = spec.stride
    sub_kernel = kernel[phase[0] :: step_t, phase[1] :: step_h, phase[2] :: step_w]
    dilation, padding, sizes = [], [], []
    for axis in range(3):
        (before, after), stride = spec.padding[axis], spec.stride[axis]
        axis_dilation = spec.dilation[axis] if stride == 1 else 1
        # A full convolution has as many zeros as the flipped kernel extends beyond one value.
        full = (sub_kernel.shape[axis] - 1) * axis_dilation
        if stride == 1:  # without the clip's padding
            num_positions, full_before = size[axis], full - before
            full_after = num_positions + before - dy.shape[axis + 1]
        else:
            num_positions, full_before = -(-(size[axis] + before + after) // stride), full
            full_after = num_positions - dy.shape[axis + 1]
        dilation.append(axis_dilation)
        padding.append((full_before, full_after))
        sizes.append(num_positions)
    channels = spec.groups * kernel.shape[3]
    if 0 in sub_kernel.shape:  # a stride larger than the kernel: no tap meets this phase
        return jnp.zeros((dy.shape[0], *sizes, channels), dy.dtype)
    spec = Spec((1, 1, 1), tuple(padding), tuple(dilation), spec.groups)
    flipped_shape = (*sub_kernel.shape[:3], dy.shape[-1] // spec.groups, channels)
    form = choose(flipped_shape, spec, dy.shape[1:4])
    if form in (product, winograd):
        return form(dy, sub_kernel, spec, backward=True)  # needs no flipped copy of the kernel
    return form(dy, kernels.flip(sub_kernel, spec.groups), spec)


def by_col2im(dy: jax.Array, kernel: jax.Array, spec: Spec, *, size: Size) -> jax.Array:
    """Computes dL/dx as one matrix product, then col2im: each tap's part is added where it belongs.

    The product reads the kernel as it is in memory. Where positions are few, flipping the kernel
    takes longer than the whole of this. Groups are not supported; the rest is as in
    `by_phases`.
    """
    channels, features = kernel.shape[3:]
    columns = contract(dy, kernel.reshape(-1, features), axes=(4, 1))  # [N, T', H', W', taps * C]
    total = None
    zero = jnp.zeros((), columns.dtype)
    for number, tap in enumerate(taps(kernel.shape)):
        # A tap meets every stride-th value of the clip: zeros between them, and around them.
        config = [(0, 0, 0)]
        for axis in range(3):
            stride = spec.stride[axis]
            first = tap[axis] * spec.dilation[axis] - spec.padding[axis][0]
            last = first + (dy.shape[axis + 1] - 1) * stride
            config.append((first, size[axis] - 1 - last, stride - 1))
        config.append((0, 0, 0))
        part = columns[..., number * channels : (number + 1) * channels]
        part = lax.pad(part, zero, config)  # [N, T, H, W, C]
        total = part if total is None else total + part
    return total.astype(dy.dtype)
