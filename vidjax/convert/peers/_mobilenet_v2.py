"""MobileNetV2: the order of its blocks, which other code bases number through, and its width."""

from vidjax.convert import recognition
from vidjax.core.errors import ConvertError

DEPTHS = (1, 2, 3, 4, 3, 3, 1)  # blocks of each stage
# Channels that leave the last block, scaled and rounded to multiples of 8 -> width multiplier.
ALPHAS = {112: 0.35, 160: 0.5, 240: 0.75, 320: 1.0, 416: 1.3, 448: 1.4}


def blocks() -> list[str]:
    """The paths of our blocks in the order in which they follow one another."""
    paths = []
    for stage, depth in enumerate(DEPTHS, start=1):
        for block in range(1, depth + 1):
            paths.append(f"backbone/stage{stage}_block{block}")
    return paths


def alpha(arrays: recognition.Arrays) -> float:
    """The width multiplier, which follows from the channels that leave the last block.

    It is 1 where all arrays with these channels are missing, which the conversion then reports.
    Raises ConvertError for channels of no known width.
    """
    last = blocks()[-1]
    shapes = {
        f"{last}/project/conv/kernel": -1,  # [1, 1, 1, C, F]: F
        f"{last}/project/norm/bias": -1,  # [F]
        "backbone/last/conv/kernel": -2,  # the layer behind it, [1, 1, 1, C, F]: C
    }
    for path, axis in shapes.items():
        if path in arrays and arrays[path].ndim >= -axis:
            channels = arrays[path].shape[axis]
            if channels not in ALPHAS:
                raise ConvertError(
                    f"a MobileNetV2 with {channels} channels in its last block is of no known "
                    "width."
                )
            return ALPHAS[channels]
    return 1.0
