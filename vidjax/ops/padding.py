"""How far a window reaches beyond the edge: a number an axis, a pair, or TensorFlow's "SAME"."""

from collections.abc import Sequence

# zeros before and after (a number: both) for time, height, width; "SAME": as many as give ceil(size / stride) positions
Padding = str | Sequence[int | tuple[int, int]]


def pairs(
    padding: Padding,
    sizes: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """(before, after) for each axis. With "SAME" the odd one goes after, as in TensorFlow. Raises ValueError."""
    if isinstance(padding, str):
        if padding != "SAME":
            raise ValueError(
                f"no padding {padding!r}; it is 'SAME', or a number or pair for each axis"
            )
        return tuple(_same(*axis) for axis in zip(sizes, window, stride, strict=True))
    return tuple((p, p) if isinstance(p, int) else tuple(p) for p in padding)


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
