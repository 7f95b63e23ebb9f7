"""Padding of time, height and width: a number, a pair, "SAME" or "CEIL".

"SAME" is TensorFlow's: it pads so that ceil(size / stride) positions come out.
"CEIL" is the `ceil_mode` of PyTorch's pooling: it pads behind the end alone, as much as the last
window needs so that no value is left over.
"""

from collections.abc import Sequence

# One entry for each of time, height and width: the zeros on each side, or a pair (before, after).
Padding = str | Sequence[int | tuple[int, int]]


def pairs(
    padding: Padding,
    sizes: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """Gives the zeros (before, after) of each axis.

    Args:
      padding: a number or a pair for each axis, or a name.
      sizes: sizes of the axes, before padding. Only a name needs it, and the two below.
      window: sizes of the window, with its dilation.
      stride: steps of the window.

    Raises:
      ValueError: `padding` is a string other than "SAME" and "CEIL".
    """
    if isinstance(padding, str):
        if padding not in _BY_NAME:
            raise ValueError(
                f"no padding {padding!r}; it is 'SAME', 'CEIL', or a number or pair for each axis"
            )
        pair = _BY_NAME[padding]
        return tuple(pair(*axis) for axis in zip(sizes, window, stride, strict=True))
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


def _ceil(size: int, window: int, stride: int) -> tuple[int, int]:
    num_positions = max(0, -(-(size - window) // stride)) + 1  # rounded up
    # Where the stride is larger than the window, the last one could start behind the last value.
    if (num_positions - 1) * stride >= size:
        num_positions -= 1
    return 0, max((num_positions - 1) * stride + window - size, 0)


_BY_NAME = {"SAME": _same, "CEIL": _ceil}
