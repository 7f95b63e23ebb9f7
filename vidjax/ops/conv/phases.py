"""The phases of a strided axis: phase p has the positions p, p + stride, p + 2 * stride, and so on.

The gradient of a strided window is computed phase by phase, each as a dense array, and the phases
are then interleaved. The other way, a clip with stride - 1 zeros between its values, spends most of
its work on zeros.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vidjax.ops.conv.windows import pad


def interleave(
    phases: Sequence[jax.Array],
    stride: Sequence[int],
    *,
    starts: Sequence[int],
    size: Sequence[int],
) -> jax.Array:
    """Interleaves the phases of a clip and cuts out a part of it.

    Args:
      phases: one array [N, Qt, Qh, Qw, C] for each combination of a phase in time, height and
        width, the phase in width changing fastest.
      stride: numbers of phases in time, height and width.
      starts: the first position (frame, row, column) of the part.
      size: the part's (T, H, W). Positions beyond the phases are zeros.
    """
    clips = list(phases)
    for axis in (3, 2, 1):  # neighbours in the list differ in width first
        step = stride[axis - 1]
        if step == 1:
            continue
        merged = []
        for first in range(0, len(clips), step):
            merged.append(_alternate(clips[first : first + step], axis))
        clips = merged
    (clip,) = clips
    margins = []
    for start, wanted, present in zip(starts, size, clip.shape[1:4], strict=True):
        margins.append((-start, start + wanted - present))
    return pad(clip, margins)


def _alternate(clips, axis):
    """Takes positions along an axis from each array in turn."""
    stacked = jnp.stack(clips, axis=axis + 1)
    before, after = clips[0].shape[:axis], clips[0].shape[axis + 1 :]
    return stacked.reshape(*before, -1, *after)
