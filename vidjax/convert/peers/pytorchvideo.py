"""pytorchvideo's networks of one pathway: c2d_r50, i3d_r50, slow_r50, r2plus1d_r50 and csn_r101.

`blocks.0` is the stem, the last one is the head, and those between are stages. C2D and I3D have a
pool without weights as `blocks.2`, so that their later stages count one more. A block's `branch1`
is its shortcut, `branch2` its bottleneck of convolutions a, b and c, of which b may be factored.
Other files read SlowFast and X3D.
"""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
COLOURS = {"mean": (0.45, 0.45, 0.45), "std": (0.225, 0.225, 0.225)}
BLOCK = r"blocks\.\d+\.res_blocks\.\d+\."
FACTORED = BLOCK + r"branch2\.conv_b\.(conv_t|conv_xy|norm)\."
# X3D adds to the same blocks a factored stem, a second normalisation or a gate, and a convolution
# before the pooling.
X3D = r"blocks\.0\.conv\.conv_|.*\.norm_b\.[01]\.|blocks\.5\.pool\."


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of such a network, complete or not."""
    return recognition.any_match(source, BLOCK) and not recognition.any_match(source, X3D)


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of resnet3d_50 or csn."""
    arrays = table(source).our_arrays(source)
    if _is_depthwise(arrays):
        family = "csn"
        variant = _csn_variant(arrays)
    else:
        family = "resnet3d_50"
        variant = _resnet_variant(source, arrays)
    return models.build(family, variant=variant, num_classes=recognition.num_classes(arrays))


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names: it depends on the pool behind stage 1 and on factored convolutions."""
    layers = {"backbone/stem": ("blocks.0.conv", "blocks.0.norm")}
    # One row for all stages would not do: the pool shifts the numbers of all but the first.
    numbers = (1, 3, 4, 5) if _is_pooled(source) else (1, 2, 3, 4)
    for stage, number in zip(recognition.STAGES, numbers, strict=True):
        ours = f"backbone/stage{stage}_block<b>"
        theirs = f"blocks.{number}.res_blocks.<b-1>"
        branch = f"{theirs}.branch2"
        layers[f"{ours}/conv1"] = (f"{branch}.conv_a", f"{branch}.norm_a")
        if recognition.any_match(source, FACTORED):
            # The convolution in time comes first, with a normalisation of its own.
            layers[f"{ours}/lead"] = (f"{branch}.conv_b.conv_t", f"{branch}.conv_b.norm")
            layers[f"{ours}/conv2"] = (f"{branch}.conv_b.conv_xy", f"{branch}.norm_b")
        else:
            layers[f"{ours}/conv2"] = (f"{branch}.conv_b", f"{branch}.norm_b")
        layers[f"{ours}/conv3"] = (f"{branch}.conv_c", f"{branch}.norm_c")
        layers[f"{ours}/shortcut"] = (f"{theirs}.branch1_conv", f"{theirs}.branch1_norm")
    layers["head/logits"] = f"blocks.{numbers[-1] + 1}.proj"
    return Table(layers)


def _csn_variant(arrays: recognition.Arrays) -> str:
    depths = recognition.depths(arrays)
    variant = recognition.variant("csn", depths=depths, preserved=False)
    if variant is None:
        raise ConvertError(
            f"a channel-separated network of {depths} blocks is not a variant of csn."
        )
    return variant


def _resnet_variant(source: Mapping[str, np.ndarray], arrays: recognition.Arrays) -> str:
    depths = recognition.depths(arrays)
    pooled = _is_pooled(source)
    factored = recognition.any_match(source, FACTORED)
    for name, row in models.family("resnet3d_50").VARIANTS.items():
        backbone = models.family("resnet3d_50").Model(**row)
        if backbone.depths != depths or backbone.halve_time != pooled:
            continue
        if backbone.kind != ("2plus1d" if factored else "2d"):
            continue
        # All factored networks have the same kernels in time; the others differ by them.
        if factored or _has_temporal_kernels(arrays, backbone.times):
            return name
    factored_word = "factored " if factored else ""
    pool_words = " and a pool in time" if pooled else ""
    raise ConvertError(
        f"a ResNet of {depths} {factored_word}blocks{pool_words} with these kernels in time "
        "is not a variant of resnet3d_50."
    )


def _is_pooled(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the second stage counts one more, for a pool before it."""
    has_second = recognition.any_match(source, r"blocks\.2\.res_blocks\.")
    return not has_second and recognition.any_match(source, r"blocks\.3\.res_blocks\.")


def _is_depthwise(arrays: recognition.Arrays) -> bool:
    """Whether 3x3x3 kernels see one channel; no other network of this file has 3x3x3 kernels."""
    for path, array in arrays.items():
        if path.endswith("/conv2/conv/kernel") and array.ndim == 5:
            frames, _, _, channels, _ = array.shape
            if channels == 1 and frames > 1:
                return True
    return False


def _has_temporal_kernels(arrays: recognition.Arrays, times: tuple[tuple[int, ...], ...]) -> bool:
    """Whether the first kernels of all blocks cover these frames, a cycle for each stage.

    Kernels that are missing contradict nothing: the conversion reports them.
    """
    depths = recognition.depths(arrays)
    for stage, depth, cycle in zip(recognition.STAGES, depths, times, strict=True):
        for block in range(depth):
            layer = f"backbone/stage{stage}_block{block + 1}/conv1/conv"
            frames = recognition.kernel_frames(arrays, layer)
            if frames and frames != cycle[block % len(cycle)]:
                return False
    return True
