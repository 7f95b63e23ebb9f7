"""pytorchvideo's networks of one pathway of residual stages: c2d_r50, i3d_r50, slow_r50, r2plus1d_r50 and csn_r101.

`blocks.0` is the stem there, each further one a stage; C2D and I3D have a pool without weights as `blocks.2`, so that
their later stages count one more; the last is the head. A block's `branch1` is its shortcut, `branch2` its bottleneck
of convolutions a, b and c, of which b may be factored. SlowFast and X3D have files of their own.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import evidence
from vidjax.convert.formats import leaves
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
BLOCK = r"blocks\.\d+\.res_blocks\.\d+\."
# what X3D adds to the same blocks: a factored stem, a second normalisation or a gate, a convolution before pooling
OF_X3D = r"blocks\.0\.conv\.conv_|.*\.norm_b\.[01]\.|blocks\.5\.pool\."


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """True for a mapping with the names of such a network, whole or not."""
    return _any(source, BLOCK) and not _any(source, OF_X3D)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of resnet3d_50 or csn."""
    depths, num_classes = _depths(source), _num_classes(source)
    if _is_depthwise(source):
        for name, row in models.family("csn").VARIANTS.items():
            if row["depths"] == depths and not row.get("preserved"):
                return models.build("csn", variant=name, num_classes=num_classes)
        raise ConvertError(
            f"a channel-separated network of {depths} blocks is not a variant of csn."
        )
    pooled, factored = len(_stages(source)) > 1 and _stages(source)[1] == 3, _is_factored(source)
    for name, row in models.family("resnet3d_50").VARIANTS.items():
        kind = row.get("kind", "2d")
        same = (row["depths"], row.get("halve_time", False), kind) == (
            depths,
            pooled,
            "2plus1d" if factored else "2d",
        )
        if same and (factored or _reaches(source, row["times"])):
            return models.build("resnet3d_50", variant=name, num_classes=num_classes)
    what = f"{depths} {'factored ' * factored}blocks{' and a pool in time' * pooled}"
    raise ConvertError(
        f"a ResNet of {what} with these kernels in time is not a variant of resnet3d_50."
    )


def entries(source: Mapping[str, np.ndarray]) -> list[leaves.Entry]:
    """The table of names for the stages and blocks that the source shows."""
    stem = ("backbone", "stem")
    found = leaves.conv("blocks.0.conv", *stem, "conv") + leaves.norm(
        "blocks.0.norm", *stem, "norm"
    )
    for stage, (index, depth) in enumerate(
        zip(_stages(source), _depths(source), strict=True), start=1
    ):
        for block in range(depth):
            theirs, ours = (
                f"blocks.{index}.res_blocks.{block}",
                ("backbone", f"stage{stage}_block{block + 1}"),
            )
            found += _bottleneck(f"{theirs}.branch2", ours, factored=_is_factored(source))
            if _any(source, re.escape(f"{theirs}.branch1_")):
                found += leaves.conv(f"{theirs}.branch1_conv", *ours, "shortcut", "conv")
                found += leaves.norm(f"{theirs}.branch1_norm", *ours, "shortcut", "norm")
    return found + leaves.linear(f"blocks.{_stages(source)[-1] + 1}.proj", "head", "logits")


def _bottleneck(theirs: str, ours: tuple[str, ...], *, factored: bool) -> list[leaves.Entry]:
    found = []
    for theirs_is, ours_is in (("a", "conv1"), ("b", "conv2"), ("c", "conv3")):
        inner = ".conv_xy" if factored and theirs_is == "b" else ""
        found += leaves.conv(f"{theirs}.conv_{theirs_is}{inner}", *ours, ours_is, "conv")
        found += leaves.norm(f"{theirs}.norm_{theirs_is}", *ours, ours_is, "norm")
    if factored:
        found += leaves.conv(f"{theirs}.conv_b.conv_t", *ours, "lead", "conv")
        found += leaves.norm(f"{theirs}.conv_b.norm", *ours, "lead", "norm")
    return found


def _any(source, pattern: str) -> bool:
    return any(re.match(pattern, name) for name in source)


def _stages(source) -> tuple[int, ...]:
    """The numbers that the stages have there, in order."""
    return tuple(sorted({int(name.split(".")[1]) for name in source if re.match(BLOCK, name)}))


def _depths(source) -> tuple[int, ...]:
    """Blocks in each stage."""
    return evidence.depths(
        source, [f"blocks.{stage}.res_blocks.{{}}." for stage in _stages(source)]
    )


def _is_factored(source) -> bool:
    return _any(source, BLOCK + r"branch2\.conv_b\.(conv_t|conv_xy|norm)\.")


def _is_depthwise(source) -> bool:
    """Whether the wide kernels see one channel; they are 3x3x3 then, and no others of these networks are."""
    shapes = _shapes(source, BLOCK + r"branch2\.conv_b\.weight")
    return any(len(shape) == 5 and shape[1] == 1 and shape[2] > 1 for shape in shapes.values())


def _reaches(source, times) -> bool:
    """Whether the first convolutions of all blocks have these extents in time, a cycle for each stage."""
    extents = zip(_stages(source), times, strict=False)
    cycles = {stage: cycle for stage, cycle in extents}
    for name, shape in _shapes(source, BLOCK + r"branch2\.conv_a\.weight").items():
        stage, block = (int(number) for number in re.findall(r"\.(\d+)\.", name))
        cycle = cycles.get(stage, ())
        if len(shape) == 5 and (not cycle or shape[2] != cycle[block % len(cycle)]):
            return False
    return True


def _shapes(source, pattern: str) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(source[name]) for name in source if re.fullmatch(pattern, name)}


def _num_classes(source) -> int:
    """The length of the last layer; 1 where it is absent, which is then listed with all else that is."""
    shapes = _shapes(source, r"blocks\.\d+\.proj\.(weight|bias)").values()
    return max((shape[0] for shape in shapes if shape and shape[0]), default=1)
