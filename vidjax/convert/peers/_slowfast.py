"""SlowFast: which variant arrays under our paths are of, whatever their code base called them."""

import flax.linen as nn

from vidjax import models
from vidjax.convert import recognition
from vidjax.core.errors import ConvertError

FUSIONS = ("stem_fuse", "stage1_fuse", "stage2_fuse", "stage3_fuse")


def network(arrays: recognition.Arrays) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of slowfast.

    Names and shapes do not show how many frames the slow pathway gets. So alpha is that of the
    published network with these depths and lateral kernels.
    """
    depths = _depths(arrays)
    fields = {
        "slow_temporal": _temporal_blocks(arrays, "", depths),
        "fast_temporal": _temporal_blocks(arrays, "_fast", depths),
    }
    lateral_frames = max(
        recognition.kernel_frames(arrays, f"backbone/{fusion}/conv") for fusion in FUSIONS
    )
    if lateral_frames:
        fields["fusion_kernel"] = lateral_frames

    # Depths and lateral kernels must be those of a variant. Of these take the one that agrees in
    # the most blocks over time, and keep the others as fields that differ from the variant's.
    best = None
    most_equal = -1
    family = models.family("slowfast")
    for name, row in family.VARIANTS.items():
        backbone = family.Model(**row)
        if backbone.depths != depths:
            continue
        if lateral_frames and backbone.fusion_kernel != lateral_frames:
            continue
        equal = [field for field, value in fields.items() if getattr(backbone, field) == value]
        if len(equal) > most_equal:
            best = name
            most_equal = len(equal)
    if best is None:
        raise ConvertError(
            f"a SlowFast network of {depths} blocks with lateral kernels of "
            f"{lateral_frames or 'no'} frames is not a variant of slowfast."
        )
    return models.build(
        "slowfast", variant=best, num_classes=recognition.num_classes(arrays), **fields
    )


def first_kernel_frames(
    arrays: recognition.Arrays, stage: int, depth: int, *, pathway: str = ""
) -> list[int]:
    """The frames that the first kernel of each block of a stage covers; 0 for a missing one."""
    frames = []
    for block in range(1, depth + 1):
        layer = f"backbone/stage{stage}{pathway}_block{block}/conv1/conv"
        frames.append(recognition.kernel_frames(arrays, layer))
    return frames


def _depths(arrays: recognition.Arrays) -> tuple[int, ...]:
    """Blocks of each stage; a pathway with missing arrays may show fewer than the other."""
    slow = recognition.depths(arrays)
    fast = recognition.depths(arrays, pathway="_fast")
    return tuple(map(max, slow, fast))


def _temporal_blocks(
    arrays: recognition.Arrays, pathway: str, depths: tuple[int, ...]
) -> tuple[int, ...]:
    """How many blocks of each stage, from its first, have a first kernel over several frames."""
    counts = []
    for stage, depth in zip(recognition.STAGES, depths, strict=True):
        frames = first_kernel_frames(arrays, stage, depth, pathway=pathway)
        last = 0
        for block, covered in enumerate(frames, start=1):
            if covered > 1:
                last = block
        # Kernels that are missing behind the last one over several frames are taken to be like it:
        # the network is then the published one, and only what is missing is reported.
        if last and not any(frames[last:]):
            last = depth
        counts.append(last)
    return tuple(counts)
