"""The lowering "winograd": minimal filtering, with fewer multiplications for 3 taps at stride 1.

Two neighbouring positions of a kernel g of three taps see four values d, a tile. Directly that
takes six products; F(2, 3) takes four,

    (d0 - d2) g0,   (d1 + d2) (g0 + g1 + g2) / 2,   (d2 - d1) (g0 - g1 + g2) / 2,   (d1 - d3) g2,

and the two results are p0 + p1 + p2 and p1 - p2 - p3. The transforms nest over axes: F(2x2, 3x3)
takes 4/9 of the products, and a 3x3x3 kernel 8/27.

The tiles of a clip, each transformed, are kept as planes: a plane has one element of every tile,
for every channel. So each of the products above is a matrix product of a plane of the clip and a
plane of the kernel. In float32, F(2, 3) is about as exact as a direct sum. Larger tiles save more
products but lose a digit, so this file has none.

Winograd, Arithmetic Complexity of Computations (1980); Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, https://arxiv.org/abs/1509.09308. The names of the transforms are
those of Lavin and Gray: B for the input, G for the kernel, A for the output.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from vidjax.ops.conv.matmul import contract, sum_over_positions
from vidjax.ops.conv.phases import interleave
from vidjax.ops.conv.product import product
from vidjax.ops.conv.spec import Spec
from vidjax.ops.conv.windows import axis_windows, pad

# Tiles have four values and overlap by two: a tile starts at every second position.
TILE_STEP = Spec(stride=(2, 2, 2))
# Elements of the planes that are made at once. Beyond this they leave a CPU's cache before the
# products read them, so frames are transformed in groups that stay below it.
MAX_PLANE_ELEMENTS = 7 * 2**20


def applies(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether every axis has three taps or one, not all have one, and nothing else is set.

    A stride, a dilation or groups rule it out.
    """
    dense = spec.groups == 1 and spec.stride == spec.dilation == (1, 1, 1)
    return dense and set(kernel_shape[:3]) in ({3}, {1, 3})


def plane_elements(kernel_shape: tuple[int, ...], out_size: Sequence[int]) -> int:
    """Elements of all planes of a frame and of its result, at `out_size` (T', H', W') positions."""
    elements = kernel_shape[3] + kernel_shape[4]
    for num_positions, num_taps in zip(out_size[1:], kernel_shape[1:3], strict=True):
        if num_taps == 3:
            num_tiles = -(-num_positions // 2)  # rounded up
            elements *= 4 * num_tiles
        else:
            elements *= num_positions
    return elements


def frames_at_once(num_frames: int, elements_per_frame: int) -> int:
    """How many frames are transformed at once: a divisor of their number, 1 if that is symbolic."""
    if not isinstance(num_frames, int):
        return 1
    largest = 1
    for count in range(2, num_frames + 1):
        if num_frames % count == 0 and count * elements_per_frame <= MAX_PLANE_ELEMENTS:
            largest = count
    return largest


def winograd(x: jax.Array, kernel: jax.Array, spec: Spec, *, backward: bool = False) -> jax.Array:
    """Convolves by minimal filtering in float32; kernels that it does not fit go to "product".

    Args:
      x: [N, T, H, W, C], or [N, T, H, W, F] with `backward`.
      kernel: [kt, kh, kw, C, F].
      spec: how the kernel moves.
      backward: convolve with the flipped kernel, as the gradient of the input does.

    Returns:
      [N, T', H', W', F], or [N, T', H', W', C] with `backward`.
    """
    if not applies(kernel.shape, spec):
        return product(x, kernel, spec, backward=backward)
    size = spec.out_size(x.shape[1:4], kernel.shape[:3])
    if backward:
        kernel = jnp.flip(kernel, (0, 1, 2))
    clip, kernel = x.astype(jnp.float32), kernel.astype(jnp.float32)
    if kernel.shape[0] == 1:
        clip = pad(clip, (spec.padding[0], (0, 0), (0, 0)))
        (y,) = _convolve_frames([clip], [kernel], spec, size=size, backward=backward)
        return y.astype(x.dtype)
    products = _convolve_frames(
        _input_planes_in_time(clip, spec, size),
        _transform_kernel(kernel, 0),
        spec,
        size=size,
        backward=backward,
    )
    phases = _transform_output(products)
    return interleave(phases, (2, 1, 1), starts=(0, 0, 0), size=size).astype(x.dtype)


def kernel_gradient(
    x: jax.Array, dy: jax.Array, spec: Spec, *, kernel_shape: tuple[int, ...]
) -> jax.Array:
    """The gradient of a kernel that minimal filtering fits, by the transposed transforms.

    Args:
      x: the clip [N, T, H, W, C].
      dy: the gradient of the output [N, T', H', W', F].
      spec: how the kernel moves.
      kernel_shape: [kt, kh, kw, C, F].

    Returns:
      dL/dkernel of that shape, float32.
    """
    size, x, dy = dy.shape[1:4], x.astype(jnp.float32), dy.astype(jnp.float32)
    if kernel_shape[0] == 1:
        clip = pad(x, (spec.padding[0], (0, 0), (0, 0)))
        return _frames_kernel_gradient(clip, dy, spec, kernel_shape=kernel_shape)
    planes = jnp.stack(_input_planes_in_time(x, spec, size))  # [4, N, T' / 2, H, W, C]
    dy = pad(dy, ((0, size[0] % 2), (0, 0), (0, 0)))
    dy_planes = jnp.stack(_transform_output_gradient(dy, 0))  # [4, N, T' / 2, H', W', F]

    def plane_gradient(pair):
        return _frames_kernel_gradient(*pair, spec, kernel_shape=kernel_shape)

    products = lax.map(plane_gradient, (planes, dy_planes))  # [4, 1, kh, kw, C, F]
    return jnp.concatenate(_transform_products_to_taps(products))


# The convolution of frames -----------------------------------------------------------------------


def _convolve_frames(clips, kernels, spec, *, size, backward):
    """Convolves every clip [N, T', H, W, C] frame by frame with its own kernel [1, kh, kw, C, F].

    There is one clip, or there are the four planes of a clip in time. Returns [clips, N, T', H',
    W', F], where `size` is (T', H', W').
    """
    axes, out_size = _transformed_axes(kernels[0].shape), (1, *size[1:])
    weight_axis = 1 if backward else 0  # a backward product sums over features, not channels

    def kernel_planes(kernel):
        planes = _transform_axes(_transform_kernel, [kernel], axes)
        return [plane[0, 0, 0] for plane in planes]  # [C, F] each

    def convolve(frames, weights):
        planes = _input_planes_in_space(frames, spec, axes, out_size=out_size)
        products = []
        for plane, weight in zip(planes, weights, strict=True):
            products.append(contract(plane, weight, axes=(4, weight_axis)))
        phases = _combine_axes(_transform_output, products, axes)
        stride = [1, 1, 1]
        for axis in axes:
            stride[axis] = 2
        return interleave(phases, stride, starts=(0, 0, 0), size=out_size)

    n, t = clips[0].shape[:2]
    count = frames_at_once(n * t, plane_elements(kernels[0].shape, out_size))
    # [groups, count, 1, H, W, C]; a frame is a clip of one frame
    groups = jnp.stack(clips).reshape(-1, count, 1, *clips[0].shape[2:])
    if len(clips) == 1:
        weights = kernel_planes(kernels[0])
        if count == n * t:
            y = convolve(groups[0], weights)
        else:
            y = lax.map(lambda frames: convolve(frames, weights), groups)
    else:
        # The four planes in time go one after the other, so that few planes are in the cache at a
        # time (docs/performance.md). For that each step transforms the kernel of its own plane.
        stacked_kernels = jnp.stack(kernels)
        kernel_of_group = jnp.arange(groups.shape[0]) // (n * t // count)

        def convolve_group(group):
            frames, index = group
            return convolve(frames, kernel_planes(stacked_kernels[index]))

        y = lax.map(convolve_group, (groups, kernel_of_group))
    return y.reshape(len(clips), n, t, *size[1:], -1)


def _frames_kernel_gradient(clip, dy, spec, *, kernel_shape):
    """dL/dkernel [1, kh, kw, C, F] of `_convolve_frames` for one clip [N, T', H, W, C]."""
    axes, out_size = _transformed_axes(kernel_shape), (1, *dy.shape[2:4])
    to_whole_tiles = _padding_to_whole_tiles(axes, out_size)

    def products(frames, dy_frames):
        planes = _input_planes_in_space(frames, spec, axes, out_size=out_size)
        dy_frames = pad(dy_frames, to_whole_tiles)
        dy_planes = _transform_axes(_transform_output_gradient, [dy_frames], axes)
        result = []
        for plane, dy_plane in zip(planes, dy_planes, strict=True):
            result.append(sum_over_positions(plane, dy_plane))  # [C, F]
        return result

    def add_group(totals, group):
        added = []
        for total, addend in zip(totals, products(*group), strict=True):
            added.append(total + addend)
        return added, None

    frames = clip.reshape(-1, 1, *clip.shape[2:])  # [N*T', 1, H, W, C]
    dy_frames = dy.reshape(-1, 1, *dy.shape[2:])  # [N*T', 1, H', W', F]
    count = frames_at_once(frames.shape[0], plane_elements(kernel_shape, out_size))
    if count == frames.shape[0]:
        totals = products(frames, dy_frames)
    else:
        groups = _in_groups(frames, count), _in_groups(dy_frames, count)
        zeros = [jnp.zeros(kernel_shape[3:], jnp.float32)] * 4 ** len(axes)
        totals, _ = lax.scan(add_group, zeros, groups)
    taps = _combine_axes(_transform_products_to_taps, totals, axes)
    return jnp.stack(taps).reshape(1, *kernel_shape[1:])


def _in_groups(frames, count):
    """[M, ...] -> [M / count, count, ...]."""
    return frames.reshape(-1, count, *frames.shape[1:])


# Planes ------------------------------------------------------------------------------------------


def _transformed_axes(kernel_shape):
    """Which of height (1) and width (2) have three taps."""
    return [axis for axis in (1, 2) if kernel_shape[axis] == 3]


def _padding_to_whole_tiles(axes, out_size):
    """The padding that makes the number of positions even along the given axes."""
    padding = [(0, 0), (0, 0), (0, 0)]
    for axis in axes:
        padding[axis] = (0, out_size[axis] % 2)
    return padding


def _input_planes_in_time(x, spec, size):
    """Pads a clip in time to whole tiles and transforms it: four planes [N, T' / 2, H, W, C]."""
    before, after = spec.padding[0]
    return _transform_input(pad(x, ((before, after + size[0] % 2), (0, 0), (0, 0))), 0)


def _input_planes_in_space(frames, spec, axes, *, out_size):
    """Pads frames [N, 1, H, W, C] to whole tiles and transforms them along the given axes."""
    padding = [(0, 0)]
    extra = _padding_to_whole_tiles(axes, out_size)
    for axis in (1, 2):
        before, after = spec.padding[axis]
        padding.append((before, after + extra[axis][1]))
    return _transform_axes(_transform_input, [pad(frames, padding)], axes)


def _transform_axes(transform, arrays, axes):
    """Applies `transform(array, axis)`, which gives four planes, along one axis after the other.

    The plane of the last axis changes fastest in the list that comes out.
    """
    for axis in axes:
        planes = []
        for array in arrays:
            planes.extend(transform(array, axis))
        arrays = planes
    return arrays


def _combine_axes(transform, products, axes):
    """Applies `transform(four products)`, which gives the results of an axis, for all axes.

    The products are in the order of `_transform_axes`. The result of the last axis changes fastest
    in the list that comes out.
    """
    if not axes:
        return products
    quarter = len(products) // 4
    inner = []  # for each plane of the first axis, the results of the axes behind it
    for first in range(0, len(products), quarter):
        inner.append(_combine_axes(transform, products[first : first + quarter], axes[1:]))
    outer = [transform(four) for four in zip(*inner, strict=True)]
    combined = []
    for results in zip(*outer, strict=True):
        combined.extend(results)
    return combined


# The transforms of F(2, 3) -----------------------------------------------------------------------


def _transform_input(x, axis):
    """B: the tiles of a clip -> four planes."""
    d0, d1, d2, d3 = axis_windows(x, 4, TILE_STEP, axis=axis)
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _transform_kernel(kernel, axis):
    """G: three taps -> four planes."""
    g0, g1, g2 = (lax.slice_in_dim(kernel, tap, tap + 1, axis=axis) for tap in range(3))
    ends, middle = (g0 + g2) / 2, g1 / 2
    return g0, ends + middle, ends - middle, g2


def _transform_output(products):
    """A: four products -> two positions."""
    p0, p1, p2, p3 = products
    return p0 + p1 + p2, p1 - p2 - p3


def _transform_output_gradient(dy, axis):
    """The transpose of A: the gradients at two positions -> four planes."""
    dy0, dy1 = axis_windows(dy, 2, TILE_STEP, axis=axis)
    return dy0, dy0 + dy1, dy0 - dy1, -dy1


def _transform_products_to_taps(products):
    """The transpose of G: four products -> the gradients of three taps."""
    p0, p1, p2, p3 = products
    middle = (p1 + p2) / 2
    return p0 + middle, (p1 - p2) / 2, middle + p3
