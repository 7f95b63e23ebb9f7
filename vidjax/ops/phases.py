"""The phases of a strided axis: every stride-th position, from each of the first ones on.

What a strided window passes back to a clip is one dense array for each phase, without the holes of a dilated clip.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vidjax.ops.conv.forms import pad


def interleave(
    phases: Sequence[jax.Array], stride: Sequence[int], starts: Sequence[int], size: Sequence[int]
) -> jax.Array:
    """[N, Qt, Qh, Qw, C] for each phase, in the order of their product, -> `size` positions of the clip from `starts`.

    All three are of (time, height, width), and there are as many phases as their strides multiply to. What `size` asks
    for beyond the phases is zeros.
    """
    clips = list(phases)
    for axis in (3, 2, 1):  # the last changes fastest
        step = stride[axis - 1]
        if step > 1:
            clips = [_alternate(clips[i : i + step], axis) for i in range(0, len(clips), step)]
    (clip,) = clips
    around = [(-a, a + n - have) for a, n, have in zip(starts, size, clip.shape[1:4], strict=True)]
    return pad(clip, around)


def _alternate(clips, axis):
    stacked = jnp.stack(clips, axis=axis + 1)
    return stacked.reshape(*clips[0].shape[:axis], -1, *clips[0].shape[axis + 1 :])
