"""Gradients of a convolution over clips without the forms that compilers are slow at on a CPU.

Automatic differentiation turns the kernel gradient into a convolution with a window as large as the frame, and the
input gradient of a strided convolution into one over a clip with holes. Here the kernel gradient is a sum of matrix
products, small enough that their operands stay in the cache, and the input gradient is one plain convolution for each
phase of the stride.
"""

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops import phases
from vidjax.ops.conv import forms, winograd
from vidjax.ops.conv.forms import Spec

MIN_WIDTH = 128  # channels of a matrix product for a row of taps


def input_gradient(
    dy: jax.Array, kernel: jax.Array, spec: Spec, size: tuple[int, ...], pick: Callable
) -> jax.Array:
    """dL/dx [N, T, H, W, C] of a clip of `size` (T, H, W), from dL/dy.

    `pick(kernel_shape, spec, size)` gives the form for each convolution that it is made of.
    """
    kernel = _dilated(kernel, spec)
    every = itertools.product(*map(range, spec.stride))
    clips = [_phase(dy, kernel, spec, size, phase, pick) for phase in every]
    starts = [lo if s > 1 else 0 for (lo, _), s in zip(spec.padding, spec.stride, strict=True)]
    return phases.interleave(clips, spec.stride, starts, size)


def _dilated(kernel, spec):
    """The kernel with its holes as zeros, where an axis has both holes and a stride; phases know no holes."""
    holes = [(0, 0, d - 1 if s > 1 else 0) for d, s in zip(spec.dilation, spec.stride, strict=True)]
    if not any(hole[2] for hole in holes):
        return kernel
    return lax.pad(kernel, jnp.zeros((), kernel.dtype), [*holes, (0, 0, 0), (0, 0, 0)])


def _phase(dy, kernel, spec, size, phase, pick):
    """The gradient at every stride-th position of the padded clip from `phase` on."""
    sub = kernel[tuple(slice(r, None, s) for r, s in zip(phase, spec.stride, strict=True))]
    n, groups, channels = dy.shape[0], spec.groups, kernel.shape[3]
    dilation = tuple(d if s == 1 else 1 for d, s in zip(spec.dilation, spec.stride, strict=True))
    padding, counts = [], []
    for axis in range(3):
        (lo, hi), stride = spec.padding[axis], spec.stride[axis]
        reach = (sub.shape[axis] - 1) * dilation[axis]
        if stride == 1:  # the clip without its padding
            padding.append((reach - lo, size[axis] + lo - dy.shape[axis + 1]))
            counts.append(size[axis])
        else:
            count = -(-(size[axis] + lo + hi) // stride)
            padding.append((reach, count - dy.shape[axis + 1]))
            counts.append(count)
    if 0 in sub.shape:
        return jnp.zeros((n, *counts, groups * channels), dy.dtype)
    back = Spec((1, 1, 1), tuple(padding), dilation, groups)
    turned_shape = (*sub.shape[:3], dy.shape[-1] // groups, groups * channels)
    form = pick(turned_shape, back, dy.shape[1:4])
    if form in (forms.product, winograd.winograd):  # they need no turned copy of the kernel
        return form(dy, sub, back, backward=True)
    return form(dy, forms.turned(sub, groups), back)


def by_columns(dy: jax.Array, kernel: jax.Array, spec: Spec, size: tuple[int, ...]) -> jax.Array:
    """`input_gradient` as one matrix product, whose columns are the taps, and a sum of what each tap passes back.

    It reads the kernel as it lies in memory; to turn it around takes longer than the product where positions are few.
    """
    c, features = kernel.shape[3:]
    columns = forms.dot(dy, kernel.reshape(-1, features), 4, 1)  # [N, T', H', W', taps * C]
    total, none = None, jnp.zeros((), columns.dtype)
    for number, tap in enumerate(forms.taps(kernel.shape)):
        around = []
        for axis, place in enumerate(tap):
            before = place * spec.dilation[axis] - spec.padding[axis][0]
            last = before + (dy.shape[axis + 1] - 1) * spec.stride[axis]
            around.append((before, size[axis] - 1 - last, spec.stride[axis] - 1))
        passed = columns[..., number * c : (number + 1) * c]
        passed = lax.pad(passed, none, [(0, 0, 0), *around, (0, 0, 0)])
        total = passed if total is None else total + passed
    return total.astype(dy.dtype)


def kernel_gradient(
    x: jax.Array, dy: jax.Array, spec: Spec, kernel_shape: tuple[int, ...]
) -> jax.Array:
    """dL/dkernel, float32, of the shape of the kernel."""
    if spec.groups > 1:
        return _by_taps(x, dy, spec, kernel_shape)
    if forms.pointwise(kernel_shape, spec):
        st, sh, sw = spec.stride
        return forms.over_positions(x[:, ::st, ::sh, ::sw], dy).reshape(kernel_shape)
    return _by_frames(x, dy, spec, kernel_shape)


def _by_taps(x, dy, spec, kernel_shape):
    """A sum over positions for each tap: depthwise and grouped kernels, frame by frame where there is much of it."""
    (kt, kh, kw, c, features), (n, to, ho, wo) = kernel_shape, dy.shape[:4]
    x = forms.pad(x, (spec.padding[0], (0, 0), (0, 0)))

    def add(
        clips, gradient
    ):  # kt clips [..., H, W, C], gradient [..., H', W', F] -> [kt * kh * kw, C / groups, F]
        seen = [
            w
            for clip in clips
            for row in forms.in_space(clip, spec, (kh, kw), (ho, wo))
            for w in row
        ]
        return jnp.stack([_of_tap(window, gradient, spec.groups, c) for window in seen])

    if forms.is_small(math.prod(kernel_shape[:3]) * dy.size):
        clips = list(forms.slices(x, kt, spec, axis=0))
        return add(clips, dy).reshape(kernel_shape)
    frames, gradients = x.reshape(-1, *x.shape[2:]), dy.reshape(-1, ho, wo, features)

    def one(place, total):
        start = place // to * x.shape[1] + place % to * spec.stride[0]
        near = forms.frames_from(frames, start, kt, spec.dilation[0])
        return total + add(near, lax.dynamic_index_in_dim(gradients, place, keepdims=False))

    zero = jnp.zeros((kt * kh * kw, c, features), jnp.float32)
    return lax.fori_loop(0, n * to, one, zero).reshape(kernel_shape)


def _of_tap(window, dy, groups, c):
    """[..., C] and [..., F] -> [C / groups, F]: within each group, sums over positions."""
    copies = dy.shape[-1] // groups
    if c == 1:
        window = jnp.repeat(window, copies, axis=-1) if copies > 1 else window
        product = window.astype(jnp.float32) * dy.astype(jnp.float32)
        return product.sum(tuple(range(product.ndim - 1)))[None]
    left, right = window.reshape(-1, groups, c), dy.reshape(-1, groups, copies)
    total = jnp.einsum("mgc,mgf->cgf", left, right, preferred_element_type=jnp.float32)
    return total.reshape(c, groups * copies)


def _by_frames(x, dy, spec, kernel_shape):
    """Matrix products for each frame of the clip, for each phase of the stride in time."""
    kt, features, st = kernel_shape[0], kernel_shape[4], spec.stride[0]
    (lo, _), dt = spec.padding[0], spec.dilation[0]
    grads = [jnp.zeros(kernel_shape[1:], jnp.float32)] * kt
    for phase in range(st):
        mine = [k for k in range(kt) if k * dt % st == phase]
        if not mine:
            continue
        # frame q of this phase meets tap k on the way to frame q - delay of dy
        delays = [k * dt // st for k in mine]
        # only frames of the clip itself: those of the padding add nothing
        first = max(0, -(-(lo - phase) // st))
        end = min(-(-(x.shape[1] + lo - phase) // st), dy.shape[1] + max(delays))
        if end <= first:
            continue
        total = _phase_of_frames(x, dy, spec, kernel_shape, (first, end, phase - lo, delays))
        for place, k in enumerate(mine):
            grads[k] = total[..., place * features : (place + 1) * features]
    return jnp.stack(grads)


def _phase_of_frames(x, dy, spec, kernel_shape, part):
    """The sum over frames q in [first, end): [kh, kw, C, delays * F]."""
    kh, kw, c, features = kernel_shape[1:]
    first, end, offset, delays = part
    st, (n, t), (frames, ho, wo) = spec.stride[0], x.shape[:2], dy.shape[1:4]
    # frames of dy before its first and after its last are zeros
    before, after = max(0, max(delays) - first), max(0, end - min(delays) - frames)
    padded = lax.pad(
        dy, jnp.zeros((), dy.dtype), [(0, 0, 0), (before, after, 0), *((0, 0, 0),) * 3]
    )

    count, width = end - first, len(delays) * features

    if forms.is_small(kh * kw * c * n * count * ho * wo):
        clip = lax.slice_in_dim(x, first * st + offset, (end - 1) * st + offset + 1, st, axis=1)
        starts = [first - d + before for d in delays]
        gradient = forms.beside([lax.slice_in_dim(padded, s, s + count, axis=1) for s in starts])
        rows = forms.in_space(clip, spec, (kh, kw), (ho, wo))
        return jnp.stack([forms.over_positions(w, gradient) for row in rows for w in row]).reshape(
            kh, kw, c, width
        )
    clips, gradients = x.reshape(n * t, *x.shape[2:]), padded.reshape(-1, *dy.shape[2:])
    few = kw * c < MIN_WIDTH  # then all taps together, else row by row

    def one(place, total):
        sample, q = place // count, first + place % count
        clip = lax.dynamic_index_in_dim(clips, sample * t + q * st + offset, keepdims=False)
        starts = [sample * padded.shape[1] + q - d + before for d in delays]
        gradient = forms.beside(
            [lax.dynamic_index_in_dim(gradients, s, keepdims=False) for s in starts]
        )
        rows = forms.in_space(clip, spec, (kh, kw), (ho, wo))
        rows = [sum(rows, [])] if few else rows
        # the gradient on the left: the product that a CPU is quicker at
        return tuple(
            sums + forms.over_positions(gradient, forms.beside(row))
            for sums, row in zip(total, rows, strict=True)
        )

    zero = (jnp.zeros((width, kh * kw * c if few else kw * c), jnp.float32),) * (1 if few else kh)
    total = jnp.concatenate(
        lax.fori_loop(0, n * count, one, zero), axis=1
    )  # [delays * F, kh * kw * C]
    return total.T.reshape(kh, kw, c, width)
