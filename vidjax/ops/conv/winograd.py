"""Convolution by Winograd's minimal filtering: fewer multiplications for kernels of three taps at stride 1.

Along an axis, two positions of a kernel g see four numbers d. Directly that is six products; F(2, 3) takes four,

    (d0 - d2) g0,   (d1 + d2) (g0 + g1 + g2) / 2,   (d2 - d1) (g0 - g1 + g2) / 2,   (d1 - d3) g2,

of which the positions are p0 + p1 + p2 and p1 - p2 - p3. Axes nest: a frame takes 4/9 of the products, a clip 8/27.
A plane has one number of every tile, for every channel, and each product is a matrix product of two planes. In float32
that is about as near to the true sum as a direct one is; larger tiles are not, so there are none.

Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, https://arxiv.org/abs/1509.09308.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops import phases
from vidjax.ops.conv import forms
from vidjax.ops.conv.forms import Spec

TWO = Spec(stride=(2, 2, 2))  # how tiles move
TOGETHER = (
    7 * 2**20
)  # numbers of the planes that are made at once; with more of them they leave a CPU's cache


def applies(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether an axis has three taps, and none has another number than three or one, a stride or holes."""
    plain = spec.groups == 1 and spec.stride == spec.dilation == (1, 1, 1)
    return plain and set(kernel_shape[:3]) in ({3}, {1, 3})


def held(kernel_shape: tuple[int, ...], out: Sequence[int]) -> int:
    """Numbers in the planes of a frame of `out` (T', H', W') positions."""
    sizes = [
        4 * -(-n // 2) if k == 3 else n for n, k in zip(out[1:], kernel_shape[1:3], strict=True)
    ]
    return math.prod(sizes) * (kernel_shape[3] + kernel_shape[4])


def together(count: int, each: int) -> int:
    """Of how many of `count` frames with `each` numbers planes are made at once: one, where `count` is not known."""
    if not isinstance(count, int):
        return 1
    return max(
        [
            1,
            *(
                some
                for some in range(2, count + 1)
                if count % some == 0 and some * each <= TOGETHER
            ),
        ]
    )


def winograd(x: jax.Array, kernel: jax.Array, spec: Spec, *, backward: bool = False) -> jax.Array:
    """[N, T, H, W, C] and a kernel [kt, kh, kw, C, F] -> [N, T', H', W', F]; computed in float32.

    With `backward` it is the transpose: x [N, T, H, W, F] meets the kernel turned around, and C comes out. A kernel
    to which this does not apply goes to `product`.
    """
    if not applies(kernel.shape, spec):
        return forms.product(x, kernel, spec, backward=backward)
    size = spec.out_size(x.shape[1:4], kernel.shape[:3])
    kernel = jnp.flip(kernel, (0, 1, 2)) if backward else kernel
    clip, kernel = x.astype(jnp.float32), kernel.astype(jnp.float32)
    if kernel.shape[0] == 1:
        clip = forms.pad(clip, (spec.padding[0], (0, 0), (0, 0)))
        (y,) = _frames([clip], [kernel], spec, size, backward)
        return y.astype(x.dtype)
    products = _frames(_over_time(clip, spec, size), _of_taps(kernel, 0), spec, size, backward)
    return phases.interleave(_positions(products), (2, 1, 1), (0, 0, 0), size).astype(x.dtype)


def kernel_gradient(
    x: jax.Array, dy: jax.Array, spec: Spec, kernel_shape: tuple[int, ...]
) -> jax.Array:
    """dL/dkernel, float32, of the shape of a kernel to which this applies."""
    size, x, dy = dy.shape[1:4], x.astype(jnp.float32), dy.astype(jnp.float32)
    if kernel_shape[0] == 1:
        return _of_frames(forms.pad(x, (spec.padding[0], (0, 0), (0, 0))), dy, spec, kernel_shape)
    planes = jnp.stack(_over_time(x, spec, size))
    gradients = jnp.stack(_of_gradient(forms.pad(dy, ((0, size[0] % 2), (0, 0), (0, 0))), 0))
    products = lax.map(lambda pair: _of_frames(*pair, spec, kernel_shape), (planes, gradients))
    return jnp.concatenate(_taps(products))


def _frames(clips, kernels, spec, size, backward):
    """Frame by frame: for each clip [N, T', H, W, C] its kernel [1, kh, kw, C, F] -> [N, T', H', W', F]."""
    axes, out = _axes(kernels[0].shape), (1, *size[1:])

    def weights(kernel):
        return [plane[0, 0, 0] for plane in _planes(_of_taps, [kernel], axes)]

    def meet(frames, weights):
        planes = _in_space(frames, spec, axes, out)
        products = [
            forms.dot(plane, weight, 4, int(backward))
            for plane, weight in zip(planes, weights, strict=True)
        ]
        stride = tuple(2 if axis in axes else 1 for axis in range(3))
        return phases.interleave(_combined(_positions, products, axes), stride, (0, 0, 0), out)

    n, t = clips[0].shape[:2]
    count = together(n * t, held(kernels[0].shape, out))
    groups = jnp.stack(clips).reshape(-1, count, 1, *clips[0].shape[2:])
    if len(clips) == 1:
        mine = weights(kernels[0])
        y = (
            meet(groups[0], mine)
            if count == n * t
            else lax.map(lambda frames: meet(frames, mine), groups)
        )
    else:
        every, which = jnp.stack(kernels), jnp.arange(groups.shape[0]) // (n * t // count)
        y = lax.map(lambda pair: meet(pair[0], weights(every[pair[1]])), (groups, which))
    return y.reshape(len(clips), n, t, *size[1:], -1)


def _of_frames(clip, dy, spec, kernel_shape):
    """dL/dkernel [1, kh, kw, C, F] of `_frames`."""
    axes, out = _axes(kernel_shape), (1, *dy.shape[2:4])
    even = tuple((0, size % 2 if axis in axes else 0) for axis, size in enumerate(out))

    def meet(frames, gradients):
        planes = _in_space(frames, spec, axes, out)
        others = _planes(_of_gradient, [forms.pad(gradients, even)], axes)
        return [
            forms.over_positions(left, right) for left, right in zip(planes, others, strict=True)
        ]

    def add(total, group):
        return [sums + more for sums, more in zip(total, meet(*group), strict=True)], None

    frames, gradients = (array.reshape(-1, 1, *array.shape[2:]) for array in (clip, dy))
    count = together(frames.shape[0], held(kernel_shape, out))
    if count == frames.shape[0]:
        total = meet(frames, gradients)
    else:
        zero = [jnp.zeros(kernel_shape[3:], jnp.float32)] * 4 ** len(axes)
        total, _ = lax.scan(add, zero, (_in_groups(frames, count), _in_groups(gradients, count)))
    return jnp.stack(_combined(_taps, total, axes)).reshape(1, *kernel_shape[1:])


def _axes(kernel_shape):
    """Those of height and width along which products are saved; their numbers in a clip without its first axis."""
    return [axis for axis in (1, 2) if kernel_shape[axis] == 3]


def _in_groups(clips, count):
    return clips.reshape(-1, count, *clips.shape[1:])


def _over_time(x, spec, size):
    """Four planes of a clip along time."""
    lo, hi = spec.padding[0]
    return _of_tiles(forms.pad(x, ((lo, hi + size[0] % 2), (0, 0), (0, 0))), 0)


def _in_space(frames, spec, axes, out):
    """The planes of frames [N, 1, H, W, C], padded so that every tile is whole."""
    around = [
        (lo, hi + (out[axis] % 2 if axis in axes else 0))
        for axis, (lo, hi) in enumerate(spec.padding)
    ]
    return _planes(_of_tiles, [forms.pad(frames, ((0, 0), *around[1:]))], axes)


def _planes(transform, arrays, axes):
    """What `transform(array, axis)` makes of arrays along one axis after the other; the last changes fastest."""
    for axis in axes:
        arrays = [plane for array in arrays for plane in transform(array, axis)]
    return arrays


def _of_tiles(x, axis):
    """Four planes of a clip, whose tiles overlap by two."""
    a, b, c, d = forms.slices(x, 4, TWO, axis=axis)
    return a - c, b + c, c - b, b - d


def _of_taps(kernel, axis):
    """Four planes of a kernel's three taps."""
    a, b, c = (lax.slice_in_dim(kernel, tap, tap + 1, axis=axis) for tap in range(3))
    ends, middle = (a + c) / 2, b / 2
    return a, ends + middle, ends - middle, c


def _of_gradient(dy, axis):
    """Four planes of the gradient at two positions: the transpose of `_positions`."""
    a, b = forms.slices(dy, 2, TWO, axis=axis)
    return a, a + b, a - b, -b


def _positions(products):
    """Two positions of four products."""
    a, b, c, d = products
    return a + b + c, b - c - d


def _taps(products):
    """Three taps of four products: the transpose of `_of_taps`."""
    a, b, c, d = products
    middle = (b + c) / 2
    return a + middle, (b - c) / 2, middle + d


def _combined(combine, products, axes):
    """Four products for each axis -> as many arrays as `combine` makes of four; the last axis changes fastest."""
    if not axes:
        return products
    quarter = len(products) // 4
    quarters = [
        _combined(combine, products[i * quarter : (i + 1) * quarter], axes[1:]) for i in range(4)
    ]
    results = [combine(four) for four in zip(*quarters, strict=True)]
    return [array for same in zip(*results, strict=True) for array in same]
