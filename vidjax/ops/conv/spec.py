"""The geometry of a convolution: how its kernel moves over a clip, and what kind of kernel it is.

Everything here is decided by shapes, while a program is traced.
"""

from typing import NamedTuple

Size = tuple[int, int, int]  # of time, height, width
Pairs = tuple[tuple[int, int], ...]  # (before, after) for each of them


class Spec(NamedTuple):
    """How a kernel moves over a clip.

    Args:
      stride: steps in time, height and width.
      padding: zeros (before, after) in time, height and width. A negative number crops.
      dilation: distance of neighbouring taps in time, height and width.
      groups: number of groups of channels that are convolved separately.
    """

    stride: Size = (1, 1, 1)
    padding: Pairs = ((0, 0), (0, 0), (0, 0))
    dilation: Size = (1, 1, 1)
    groups: int = 1

    def dilated_size(self, kernel_size: tuple[int, ...]) -> Size:
        """The frames, rows and columns that a kernel spans with its dilation."""
        return tuple((k - 1) * d + 1 for k, d in zip(kernel_size, self.dilation, strict=True))

    def out_size(self, size: tuple[int, ...], kernel_size: tuple[int, ...]) -> Size:
        """The number of positions (T', H', W') of a kernel over a clip of `size` (T, H, W)."""
        result = []
        dilated_size = self.dilated_size(kernel_size)
        for axis, (before, after) in enumerate(self.padding):
            last_start = size[axis] + before + after - dilated_size[axis]
            result.append(last_start // self.stride[axis] + 1)
        return tuple(result)


def is_spatial(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether each frame is convolved on its own: one tap in time, and no padding in time."""
    return kernel_shape[0] == 1 and spec.padding[0] == (0, 0)


def is_temporal(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether each pixel is convolved over time alone: one tap in space, and no padding there."""
    return kernel_shape[1:3] == (1, 1) and spec.padding[1:] == ((0, 0), (0, 0))


def is_pointwise(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether the kernel is 1x1x1 without padding."""
    return is_spatial(kernel_shape, spec) and is_temporal(kernel_shape, spec)


def is_depthwise(kernel_shape: tuple[int, ...], spec: Spec) -> bool:
    """Whether each channel is convolved on its own."""
    return kernel_shape[3] == 1 and spec.groups > 1
