"""The same convolution over clips in several forms.

Each takes x [N, T, H, W, C], a kernel [kt, kh, kw, C / groups, F] and a Spec.

`native` is one 3D convolution of the compiler's. `folded` goes through 2D convolutions, which compilers treat better: a
kernel without extent in time folds time into the batch, one without extent in space folds height and width into one
axis, and any other is the sum over its taps in time of the first case. `shifted` is the sum over all taps of a slice
times the tap: multiply-adds for a depthwise kernel, matrix products for any other, one of them for 1x1x1. `product`
goes frame by frame and adds up matrix products of what the taps meet, so that what it gathers stays in a CPU's cache.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

WHOLE = 2**21  # elements: what is gathered for a matrix product at once, and not frame by frame
MANY = 128  # channels from which a tap in space is worth a matrix product of its own
GATHERED = 576  # channels that taps of fewer are gathered to
Pairs = tuple[tuple[int, int], ...]
Size = tuple[int, int, int]


class Spec(NamedTuple):
    """How a kernel moves over a clip: time, height, width; padding is zeros before and after."""

    stride: Size = (1, 1, 1)
    padding: Pairs = ((0, 0), (0, 0), (0, 0))
    dilation: Size = (1, 1, 1)
    groups: int = 1

    def reach(self, kernel_size: tuple[int, ...]) -> Size:
        """The extent of a dilated kernel."""
        return tuple((k - 1) * d + 1 for k, d in zip(kernel_size, self.dilation, strict=True))

    def out_size(self, size: tuple[int, ...], kernel_size: tuple[int, ...]) -> Size:
        """Positions of the kernel over a clip of `size`."""
        axes = zip(size, self.padding, self.reach(kernel_size), self.stride, strict=True)
        return tuple((n + lo + hi - reach) // stride + 1 for n, (lo, hi), reach, stride in axes)


def native(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """The compiler's own convolution."""
    return _convolve(x, kernel, spec.stride, spec.padding, spec.dilation, spec.groups)


def folded(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """Through 2D convolutions."""
    if spatial(kernel.shape, spec):
        return _fold_time(x[:, :: spec.stride[0]], kernel[0], spec)
    if temporal(kernel.shape, spec):
        x = x[:, :, :: spec.stride[1], :: spec.stride[2]]
        n, t, h, w, c = x.shape
        axis = (spec.stride[0], 1), (spec.padding[0], (0, 0)), (spec.dilation[0], 1)
        y = _convolve(x.reshape(n, t, h * w, c), kernel[:, 0], *axis, spec.groups)  # [N, T, H*W, C]
        return y.reshape(n, y.shape[1], h, w, -1)
    x = pad(x, (spec.padding[0], (0, 0), (0, 0)))
    taps = [
        _fold_time(frames, kernel[k], spec)
        for k, frames in enumerate(slices(x, kernel.shape[0], spec, axis=0))
    ]
    return sum(taps[1:], taps[0])


def shifted(x: jax.Array, kernel: jax.Array, spec: Spec) -> jax.Array:
    """A slice of the clip for each tap, times the tap, added up in float32."""
    x = pad(x, spec.padding)
    total = None
    for (i, j, k), window in zip(
        taps(kernel.shape), windows(x, kernel.shape[:3], spec), strict=True
    ):
        y = times(window, kernel[i, j, k], spec.groups)
        total = y if total is None else total + y
    return total.astype(x.dtype)


def product(x: jax.Array, kernel: jax.Array, spec: Spec, *, backward: bool = False) -> jax.Array:
    """Matrix products frame by frame; grouped kernels are `shifted`.

    With `backward` it is the transpose at stride 1: x [N, T, H, W, F] meets the kernel turned around, and C comes out.
    """
    if spec.groups > 1:
        return shifted(x, turned(kernel, spec.groups) if backward else kernel, spec)
    (kt, kh, kw), (n, _, h, w, c) = kernel.shape[:3], x.shape
    to, ho, wo = out = spec.out_size(x.shape[1:4], kernel.shape[:3])
    if backward:
        kernel = [jnp.flip(kernel[-1 - k], (0, 1)).swapaxes(2, 3) for k in range(kt)]
    features, plain_rows = kernel[0].shape[-1], spec.stride[1] == spec.dilation[1] == 1
    together = _rows_together if plain_rows and features < MANY else _tap_by_tap

    def meet(frames):  # a list of kt clips [..., H, W, C] -> [..., H', W', F]
        return together(frames, kernel, spec, (ho, wo)).astype(x.dtype)

    small = is_small(kh * kw * c * n * to * ho * wo)
    if not small and kt > 1 and spec.stride[0] == spec.dilation[0] == 1:
        return _taps_in_time_together(x, kernel, spec, (ho, wo))
    x = pad(x, (spec.padding[0], (0, 0), (0, 0)))
    if small:
        # the kernel as it lies in memory: to cut it takes longer
        if not backward and few_positions(n * to * ho * wo, c):
            seen = beside(list(windows(pad(x, ((0, 0), *spec.padding[1:])), (kt, kh, kw), spec)))
            return jnp.dot(
                seen, kernel.reshape(-1, features), preferred_element_type=jnp.float32
            ).astype(x.dtype)
        return meet(list(slices(x, kt, spec, axis=0)))
    frames = x.reshape(-1, h, w, c)

    def one(_, place):
        start = place // to * x.shape[1] + place % to * spec.stride[0]
        return None, meet(frames_from(frames, start, kt, spec.dilation[0]))

    return lax.scan(one, None, jnp.arange(n * to))[1].reshape(n, *out, -1)


def _taps_in_time_together(x, kernel, spec, out_size):
    """A matrix product for each frame of the clip, whose columns are the taps in time; then what each adds to a frame.

    Every frame is gathered once, under all taps in space, and not for each of the taps in time. For a stride of 1 in
    time. The sums are those of whole clips, in float32.
    """
    kt, (kh, kw, c, features), (n, t), (ho, wo) = (
        len(kernel),
        kernel[0].shape,
        x.shape[:2],
        out_size,
    )
    right = beside([part.reshape(-1, features) for part in kernel])  # [kh * kw * C, kt * F]
    frames, length = x.reshape(-1, *x.shape[2:]), t + kt - 1

    def one(total, place):
        rows = in_space(
            lax.dynamic_index_in_dim(frames, place, keepdims=False), spec, (kh, kw), (ho, wo)
        )
        left = beside(sum(rows, [])).reshape(-1, kh * kw * c)
        y = jnp.dot(left, right, preferred_element_type=jnp.float32).reshape(ho, wo, kt * features)
        # the last tap meets this frame first
        parts = jnp.stack([y[..., k * features : (k + 1) * features] for k in reversed(range(kt))])
        corner = (place // t * length + place % t, 0, 0, 0)
        return lax.dynamic_update_slice(
            total, lax.dynamic_slice(total, corner, parts.shape) + parts, corner
        ), None

    zero = jnp.zeros((n * length, ho, wo, features), jnp.float32)
    total = (
        lax.scan(one, zero, jnp.arange(n * t))[0]
        .reshape(n, length, ho, wo, features)
        .astype(x.dtype)
    )
    before, after = spec.padding[0]
    return pad(total, ((before - kt + 1, after - kt + 1), (0, 0), (0, 0)))


def _tap_by_tap(frames, kernel, spec, out_size):
    """A matrix product for each tap, or for several side by side where channels are few: [..., H', W', F], float32."""
    kh, kw, c, features = kernel[0].shape
    seen = [
        window
        for frame in frames
        for row in in_space(frame, spec, (kh, kw), out_size)
        for window in row
    ]
    weights = [part[i, j] for part in kernel for i in range(kh) for j in range(kw)]
    many = 1 if c >= MANY else max(1, GATHERED // c)
    total = 0
    for first in range(0, len(seen), many):
        left, right = seen[first : first + many], weights[first : first + many]
        left = beside(left).reshape(-1, len(left) * c)
        right = right[0] if len(right) == 1 else jnp.concatenate(right)
        total = total + jnp.dot(left, right, preferred_element_type=jnp.float32)
    return total.reshape(*seen[0].shape[:-1], features)


def _rows_together(frames, kernel, spec, out_size):
    """A matrix product for each frame, whose columns are the rows of the kernel; then sums of its shifted rows.

    What is gathered is a row of taps, not all of them: a third for a kernel of three. For a stride of 1 down the frame.
    """
    (kh, kw, c, features), (ho, wo) = kernel[0].shape, out_size
    total = 0
    for frame, part in zip(frames, kernel, strict=True):
        (row,) = in_space(frame, spec, (1, kw), (ho + kh - 1, wo))
        left = beside(row).reshape(-1, kw * c)
        right = part.transpose(1, 2, 0, 3).reshape(kw * c, kh * features)
        total = total + jnp.dot(left, right, preferred_element_type=jnp.float32)
    total = total.reshape(*row[0].shape[:-1], kh * features)  # [..., H' + kh - 1, W', kh * F]
    return sum(total[..., i : i + ho, :, i * features : (i + 1) * features] for i in range(kh))


def is_small(count: int) -> bool:
    """Whether so many elements are gathered at once; a number of clips that is not known yet is large."""
    return isinstance(count, int) and count <= WHOLE


def few_positions(count: int, channels: int) -> bool:
    """Whether to cut or turn the kernel takes longer than the product; a number of clips not known yet is large."""
    return isinstance(count, int) and count <= channels


def spatial(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every frame is convolved by itself."""
    return kernel_shape[0] == 1 and spec.padding[0] == (0, 0)


def temporal(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every position of the frame is convolved by itself."""
    return kernel_shape[1:3] == (1, 1) and spec.padding[1:] == ((0, 0), (0, 0))


def pointwise(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every position of the clip is by itself."""
    return spatial(kernel_shape, spec) and temporal(kernel_shape, spec)


def depthwise(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every channel is convolved by itself."""
    return kernel_shape[3] == 1 and spec.groups > 1


def trimmed(kernel: jax.Array, spec: Spec, size: tuple[int, ...]) -> tuple[jax.Array, Spec]:
    """The kernel without the taps at its ends that meet nothing but padding, wherever it stands; most often all of it.

    In the last stage of a network one frame may be left, of which a kernel of three sees nothing but zeros twice.
    """
    parts, inner = met(kernel.shape, spec, size)
    return (kernel, spec) if inner == spec else (kernel[parts], inner)


def met(
    kernel_shape: tuple[int, ...], spec: Spec, size: tuple[int, ...]
) -> tuple[tuple[slice, ...], Spec]:
    """The taps that `trimmed` leaves along time, height and width, and how they move."""
    parts, padding = [], []
    for axis, out in enumerate(spec.out_size(size, kernel_shape[:3])):
        (lo, hi), step, hole = spec.padding[axis], spec.stride[axis], spec.dilation[axis]
        count = kernel_shape[axis]
        those = [
            k
            for k in range(count)
            if any(0 <= k * hole + o * step - lo < size[axis] for o in range(out))
        ]
        first, last = (those[0], those[-1]) if those else (0, count - 1)
        parts.append(slice(first, last + 1))
        padding.append((lo - first * hole, hi - (count - 1 - last) * hole))
    return tuple(parts), spec._replace(padding=tuple(padding))


def turned(kernel: jax.Array, groups: int) -> jax.Array:
    """The kernel of the transposed convolution: taps in reverse, inputs and outputs of each group exchanged."""
    size, (c, features) = kernel.shape[:3], kernel.shape[3:]
    kernel = jnp.flip(kernel, (0, 1, 2)).reshape(*size, c, groups, features // groups)
    return kernel.transpose(0, 1, 2, 5, 4, 3).reshape(*size, features // groups, groups * c)


def in_space(clip: jax.Array, spec: Spec, kernel_size: tuple[int, int], out_size: tuple[int, int]):
    """What the taps [kh, kw] meet in [..., H, W, C], which is padded here: for each row of taps a list of windows."""
    if any(pair != (0, 0) for pair in spec.padding[1:]):
        around = (
            [(0, 0, 0)] * (clip.ndim - 3),
            [(lo, hi, 0) for lo, hi in spec.padding[1:]],
            [(0, 0, 0)],
        )
        clip = lax.pad(clip, jnp.zeros((), clip.dtype), sum(around, []))
    (_, sh, sw), (_, dh, dw), (kh, kw), (ho, wo) = spec.stride, spec.dilation, kernel_size, out_size
    rows = [clip[..., i * dh : i * dh + sh * (ho - 1) + 1 : sh, :, :] for i in range(kh)]
    return [
        [row[..., j * dw : j * dw + sw * (wo - 1) + 1 : sw, :] for j in range(kw)] for row in rows
    ]


def taps(kernel_shape: tuple[int, ...]):
    """(i, j, k) of every tap, the last axis fastest."""
    return itertools.product(*map(range, kernel_shape[:3]))


def windows(x: jax.Array, kernel_size: tuple[int, ...], spec: Spec):
    """For each tap what it meets in a padded clip, [N, T', H', W', C]."""
    for frames in slices(x, kernel_size[0], spec, axis=0):
        for rows in slices(frames, kernel_size[1], spec, axis=1):
            yield from slices(rows, kernel_size[2], spec, axis=2)


def times(window: jax.Array, tap: jax.Array, groups: int) -> jax.Array:
    """What a tap [C/groups, F] makes of what it meets [..., C]: [..., F], float32."""
    if groups == 1:
        return jnp.dot(window, tap, preferred_element_type=jnp.float32)
    c, features = tap.shape
    if c == 1:
        window = window.astype(jnp.float32)
        copies = features // groups
        window = window if copies == 1 else jnp.repeat(window, copies, axis=-1)
        return window * tap[0].astype(jnp.float32)
    window = window.reshape(*window.shape[:-1], groups, c)
    tap = tap.reshape(c, groups, features // groups)
    y = jnp.einsum("...gc,cgf->...gf", window, tap, preferred_element_type=jnp.float32)
    return y.reshape(*y.shape[:-2], features)


def dot(left: jax.Array, right: jax.Array, of_left: int, of_right: int) -> jax.Array:
    """The product over one axis of each, float32."""
    axes = ((of_left,), (of_right,)), ((), ())
    return lax.dot_general(left, right, axes, preferred_element_type=jnp.float32)


def over_positions(left: jax.Array, right: jax.Array) -> jax.Array:
    """Sum over positions of left^T right: [..., C] and [..., F] -> [C, F], float32."""
    return dot(left.reshape(-1, left.shape[-1]), right.reshape(-1, right.shape[-1]), 0, 0)


def slices(x: jax.Array, k: int, spec: Spec, *, axis: int):
    """For each of k taps along an axis of (time, height, width), the positions that it meets."""
    stride, dilation = spec.stride[axis], spec.dilation[axis]
    last = (
        x.shape[axis + 1] - (k - 1) * dilation - 1
    )  # where the first tap stands at the kernel's last position
    for tap in range(k):
        start = tap * dilation
        yield lax.slice_in_dim(x, start, start + last + 1, stride, axis=axis + 1)


def frames_from(frames: jax.Array, start: jax.Array, count: int, step: int) -> list[jax.Array]:
    """`count` of [M, H, W, C], every `step`-th from `start` on."""
    return [
        lax.dynamic_index_in_dim(frames, start + k * step, keepdims=False) for k in range(count)
    ]


def beside(arrays: list[jax.Array]) -> jax.Array:
    """Arrays [..., C] side by side in the channels."""
    return arrays[0] if len(arrays) == 1 else jnp.concatenate(arrays, axis=-1)


def pad(x: jax.Array, padding: Pairs, value: float = 0) -> jax.Array:
    """Zeros, or another value, on time, height and width; a negative number cuts."""
    if all(pair == (0, 0) for pair in padding):
        return x
    return lax.pad(
        x, jnp.array(value, x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in padding), (0, 0, 0)]
    )


def _fold_time(x, kernel, spec):
    """Frame by frame: kernel [kh, kw, C, F]."""
    n, t = x.shape[:2]
    x = x.reshape(n * t, *x.shape[2:])  # [N*T, H, W, C]
    y = _convolve(x, kernel, spec.stride[1:], spec.padding[1:], spec.dilation[1:], spec.groups)
    return y.reshape(n, t, *y.shape[1:])


def _convolve(x, kernel, stride, padding, dilation, groups):
    """x [N, H, W, C] or [N, T, H, W, C]."""
    layouts = ("NHWC", "HWIO", "NHWC") if x.ndim == 4 else ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(
        x,
        kernel,
        stride,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=layouts,
        feature_group_count=groups,
    )
