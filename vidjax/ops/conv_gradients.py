"""Gradients of a convolution over clips without the forms that compilers are slow at on a CPU.

Automatic differentiation turns the kernel gradient into a convolution with a window as large as the frame, and the
input gradient of a strided convolution into one over a clip with holes. Here the kernel gradient is a sum of matrix
products, small enough that their operands stay in the cache, and the input gradient is one plain convolution for each
phase of the stride.
"""

import itertools

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops import conv_forms as forms
from vidjax.ops.conv_forms import Spec

WHOLE = 2**21  # elements: what a matrix product gathers from less than this is gathered at once, not frame by frame


def input_gradient(dy: jax.Array, kernel: jax.Array, spec: Spec, size: tuple[int, ...], form) -> jax.Array:
    """dL/dx [N, T, H, W, C] of a clip of `size` (T, H, W), from dL/dy and by `form`, one of `conv_forms.FORMS`."""
    kernel = _dilated(kernel, spec)
    phases = []
    for phase in itertools.product(*map(range, spec.stride)):
        phases.append(_phase(dy, kernel, spec, size, phase, form))
    if spec.stride == (1, 1, 1):
        return phases[0]
    return _interleave(phases, spec, size)


def _dilated(kernel, spec):
    """The kernel with its holes as zeros, where an axis has both holes and a stride; phases know no holes."""
    holes = [(0, 0, d - 1 if s > 1 else 0) for d, s in zip(spec.dilation, spec.stride, strict=True)]
    if not any(hole[2] for hole in holes):
        return kernel
    return lax.pad(kernel, jnp.zeros((), kernel.dtype), [*holes, (0, 0, 0), (0, 0, 0)])


def _phase(dy, kernel, spec, size, phase, form):
    """The gradient at every stride-th position of the padded clip from `phase` on."""
    sub = kernel[tuple(slice(r, None, s) for r, s in zip(phase, spec.stride, strict=True))]
    n, features = dy.shape[0], dy.shape[-1]
    groups, channels = spec.groups, kernel.shape[3]
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
    flipped = jnp.flip(sub, (0, 1, 2)).reshape(*sub.shape[:4], groups, features // groups)
    flipped = flipped.transpose(0, 1, 2, 5, 4, 3).reshape(*sub.shape[:3], features // groups, groups * channels)
    return form(dy, flipped, Spec((1, 1, 1), tuple(padding), dilation, groups))


def _interleave(phases, spec, size):
    """Phases in the order of their product -> the clip without its padding."""
    st, sh, sw = spec.stride
    rows = [jnp.stack(phases[i : i + sw], axis=4) if sw > 1 else phases[i] for i in range(0, len(phases), sw)]
    rows = [row.reshape(*row.shape[:3], -1, phases[0].shape[-1]) for row in rows]  # [N, Qt, Qh, Qw*sw, C]
    frames = [jnp.stack(rows[i : i + sh], axis=3) if sh > 1 else rows[i] for i in range(0, len(rows), sh)]
    frames = [f.reshape(*f.shape[:2], -1, *rows[0].shape[3:]) for f in frames]
    clip = jnp.stack(frames, axis=2) if st > 1 else frames[0]
    clip = clip.reshape(clip.shape[0], -1, *frames[0].shape[2:])
    starts = [lo if s > 1 else 0 for (lo, _), s in zip(spec.padding, spec.stride, strict=True)]
    for axis, (start, length) in enumerate(zip(starts, size, strict=True), start=1):
        clip = lax.slice_in_dim(clip, start, start + length, axis=axis)
    return clip


def kernel_gradient(x: jax.Array, dy: jax.Array, spec: Spec, kernel_shape: tuple[int, ...]) -> jax.Array:
    """dL/dkernel, float32, of the shape of the kernel."""
    if spec.groups > 1:
        return _by_taps(x, dy, spec, kernel_shape)
    if forms.pointwise(kernel_shape, spec):
        st, sh, sw = spec.stride
        return _product([x[:, ::st, ::sh, ::sw]], dy).reshape(kernel_shape)
    if forms.temporal(kernel_shape, spec):
        x = x[:, :, :: spec.stride[1], :: spec.stride[2]]
        return _by_rows(x, dy, spec, kernel_shape)
    return _by_frames(x, dy, spec, kernel_shape)


def _by_taps(x, dy, spec, kernel_shape):
    """A sum over all positions for each tap: depthwise and grouped kernels."""
    x = forms.pad(x, spec.padding)
    c, features = kernel_shape[3:]
    groups, copies = spec.groups, features // spec.groups
    grads = []
    for window in forms.windows(x, kernel_shape[:3], spec):
        if c == 1:
            window = jnp.repeat(window, copies, axis=-1) if copies > 1 else window
            total = (window.astype(jnp.float32) * dy.astype(jnp.float32)).sum((0, 1, 2, 3))[None]
        else:
            left = window.reshape(-1, groups, c)
            right = dy.reshape(-1, groups, copies)
            total = jnp.einsum("mgc,mgf->cgf", left, right, preferred_element_type=jnp.float32).reshape(c, features)
        grads.append(total)
    return jnp.stack(grads).reshape(kernel_shape)


def _by_rows(x, dy, spec, kernel_shape):
    """A matrix product for each row of the frame: kernels of 1x1 in space."""
    kt, (stride, padding, dilation) = kernel_shape[0], (spec.stride[0], spec.padding[0], spec.dilation[0])
    last = stride * (dy.shape[1] - 1)

    def seen(row):  # [N, T, ..., C] -> what each tap meets
        row = lax.pad(row, jnp.zeros((), row.dtype), [(0, 0, 0), (*padding, 0), *((0, 0, 0),) * (row.ndim - 2)])
        return [row[:, k * dilation : k * dilation + last + 1 : stride] for k in range(kt)]

    if kt * x.size <= WHOLE:
        return _product(seen(x), dy).reshape(kernel_shape)

    def add_row(h, total):
        row = lax.dynamic_index_in_dim(x, h, axis=2, keepdims=False)  # [N, T, W, C]
        return total + _product(seen(row), lax.dynamic_index_in_dim(dy, h, axis=2, keepdims=False))

    zero = jnp.zeros((kt * kernel_shape[3], kernel_shape[4]), jnp.float32)
    return lax.fori_loop(0, x.shape[2], add_row, zero).reshape(kernel_shape)


def _by_frames(x, dy, spec, kernel_shape):
    """A matrix product for each frame of the clip and each phase of the stride in time."""
    (kt, kh, kw, c, features), (st, _, _) = kernel_shape, spec.stride
    (lo, _), dt = spec.padding[0], spec.dilation[0]
    frames, ho, wo = dy.shape[1:4]
    grads = [None] * kt
    for phase in range(st):
        mine = [k for k in range(kt) if k * dt % st == phase]
        if not mine:
            continue
        delays = [k * dt // st for k in mine]  # the frame of dy that tap k sends frame q of this phase to: q - delay
        # Only frames of the clip itself: those of the padding add nothing.
        first = max(0, -(-(lo - phase) // st))
        end = min(-(-(x.shape[1] + lo - phase) // st), frames + max(delays))
        total = _phase_of_frames(x, dy, spec, kernel_shape, (first, end, phase - lo, delays))
        total = total.reshape(kh, kw, c, len(mine), features)
        for place, k in enumerate(mine):
            grads[k] = total[:, :, :, place]
    return jnp.stack(grads)


def _phase_of_frames(x, dy, spec, kernel_shape, part):
    """Sum over frames q in [first, end) of (what space sees of frame q)^T (the gradients it reaches)."""
    kh, kw, c, features = kernel_shape[1:]
    first, end, offset, delays = part
    st, ho, wo = spec.stride[0], *dy.shape[2:4]
    width = len(delays) * features
    ahead = max(delays)
    behind = max(0, end - min(delays) - dy.shape[1])
    padded = lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), (max(0, ahead - first), behind, 0), *((0, 0, 0),) * 3])
    shift = max(0, ahead - first)

    def frames_at(q, count):
        """What the taps of space see of `count` frames from q on, and the gradients of all taps in time."""
        clip = lax.slice_in_dim(x, q * st + offset, (q + count - 1) * st + offset + 1, st, axis=1)
        return _seen(clip, spec, (kh, kw), (ho, wo)), [
            lax.slice_in_dim(padded, q - d + shift, q - d + shift + count, axis=1) for d in delays
        ]

    def join(parts):
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)

    count = max(0, end - first)
    if count == 0:
        return jnp.zeros((kh * kw * c, width), jnp.float32)
    if kh * kw * c * x.shape[0] * count * ho * wo <= WHOLE:
        seen, gradients = frames_at(first, count)
        return _product(seen, join(gradients))

    def add_frame(q, total):
        frame = lax.dynamic_slice_in_dim(x, q * st + offset, 1, axis=1)
        gradients = [lax.dynamic_slice_in_dim(padded, q - d + shift, 1, axis=1) for d in delays]
        return total + _product(_seen(frame, spec, (kh, kw), (ho, wo)), join(gradients))

    return lax.fori_loop(first, end, add_frame, jnp.zeros((kh * kw * c, width), jnp.float32))


def _seen(clip, spec, kernel_size, out_size):
    """For each tap in space what it meets: a list of [N, T, H', W', C]."""
    clip = forms.pad(clip, ((0, 0), *spec.padding[1:]))
    (_, sh, sw), (_, dh, dw), (kh, kw), (ho, wo) = spec.stride, spec.dilation, kernel_size, out_size
    rows = [clip[:, :, i * dh : i * dh + sh * (ho - 1) + 1 : sh] for i in range(kh)]
    return [row[:, :, :, j * dw : j * dw + sw * (wo - 1) + 1 : sw] for row in rows for j in range(kw)]


def _product(seen, dy):
    """Sum over positions of (what the taps met)^T (gradient): [..., C] each, [..., F] -> [taps * C, F], float32."""
    seen = seen[0] if len(seen) == 1 else jnp.concatenate(seen, axis=-1)
    left, right = seen.reshape(-1, seen.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return jnp.dot(left.T, right, preferred_element_type=jnp.float32)
