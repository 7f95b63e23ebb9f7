"""Padding of time, height and width: a number, a pair, or TensorFlow's "SAME"."""

from collections.abc import Sequence

# One entry for each of time, height and width: the zeros on each side, or a pair (before, after).
# "SAME" pads so that ceil(size / stride) positions come out.
Padding = str | Sequence[int | tuple[int, int]]


def pairs(
    padding: Padding,
    sizes: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """Gives the zeros (before, after) of each axis.

    Args:
      padding: a number or a pair for each axis, or "SAME".
      sizes: sizes of the axes, before padding. Only "SAME" needs it, and the two below.
      window: sizes of the window, with its dilation.
      stride: steps of the window.

    Raises:
      ValueError: `padding` is a string other than "SAME".
    """
    if isinstance(padding, str):
        if padding != "SAME":
            raise ValueError(
                f"no padding {padding!r}; it is 'SAME', or a number or pair for each axis"
            )
        return tuple(_same(*axis) for axis in zip(sizes, window, stride, strict=True))
    result = []
    for entry in padding:
        before, after = (entry, entry) if isinstance(entry, int) else entry
        result.append((before, after))
    return tuple(result)


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    num_positions = -(-size // stride)  # rounded up
    total = max((num_positions - 1) * stride + window - size, 0)
    # An odd number of zeros has one more at the end, as in TensorFlow. PyTorch has no such case.
    return total // 2, total - total // 2
