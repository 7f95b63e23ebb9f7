"""torchvision.models.video's ResNets: r3d_18, mc3_18, r2plus1d_18, and others of that construction.

A factored convolution is a Sequential: `.0` is in space, `.1` its normalisation, `.3` in
time. In a block `conv1.0` is the convolution, factored or not, and `conv1.1` its normalisation. The
stem is one flat Sequential.
"""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np

from vidjax import models
from vidjax.convert import recognition
from vidjax.convert.tables import Table
from vidjax.core.errors import ConvertError

CLIP = (1, 2, 16, 16, 3)
COLOURS = {
    "mean": (0.43216, 0.394666, 0.37645),
    "std": (0.22803, 0.22145, 0.216989),
}
UNIT = "layer<s>.<b-1>.conv<i>"
SHORTCUT = "layer<s>.<b-1>.downsample"
LAYERS = {
    # The convolution is one module or three, and either way the first one's name begins with `.0`.
    "backbone/stage<s>_block<b>/conv<i>": (f"{UNIT}.0", f"{UNIT}.1"),
    "backbone/stage<s>_block<b>/conv<i>/conv/spatial": f"{UNIT}.0.0",
    "backbone/stage<s>_block<b>/conv<i>/conv/norm": f"{UNIT}.0.1",
    "backbone/stage<s>_block<b>/conv<i>/conv/temporal": f"{UNIT}.0.3",
    "backbone/stage<s>_block<b>/shortcut": (f"{SHORTCUT}.0", f"{SHORTCUT}.1"),
    "head/logits": "fc",
}
STEM = {"backbone/stem": ("stem.0", "stem.1")}
FACTORED_STEM = {
    "backbone/stem/conv/spatial": "stem.0",
    "backbone/stem/conv/norm": "stem.1",
    "backbone/stem/conv/temporal": "stem.3",
    "backbone/stem/norm": "stem.4",
}


def recognises(source: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are those of a torchvision video ResNet, complete or not."""
    has_stem = any(name.startswith("stem.") for name in source)
    return has_stem and recognition.any_match(source, r"layer\d\.\d+\.conv[12]\.[01]\.")


def network(source: Mapping[str, np.ndarray]) -> nn.Module:
    """The classifier. Raises ConvertError for one that is no variant of resnet3d."""
    arrays = table(source).our_arrays(source)
    depths = recognition.depths(arrays)
    kinds = [_kind(arrays, "backbone/stem")]
    for stage in recognition.STAGES:
        kinds.append(_kind(arrays, rf"backbone/stage{stage}_block\d+/conv[12]"))
    # R2D has the shapes of fR2D and treats frames as channels: torchvision has no such network.
    variant = recognition.variant("resnet3d", depths=depths, kinds=tuple(kinds), fold_time=False)
    if variant is None:
        raise ConvertError(
            f"a ResNet of {depths} blocks of the kinds {tuple(kinds)} is not a variant of resnet3d."
        )
    return models.build(
        "resnet3d",
        variant=variant,
        num_classes=recognition.num_classes(arrays),
        midplanes=_midplanes(arrays),
    )


def table(source: Mapping[str, np.ndarray]) -> Table:
    """The table of names: the numbers in the stem depend on whether its convolution is factored."""
    stem = FACTORED_STEM if "stem.3.weight" in source else STEM
    return Table({**stem, **LAYERS})


def _kind(arrays: recognition.Arrays, unit: str) -> str:
    """The kind of the convolutions whose paths begin with the regular expression `unit`.

    Names show a factored one. Of the others, the number of frames that a kernel covers decides.
    """
    if recognition.any_match(arrays, f"{unit}/conv/(spatial|temporal)/kernel"):
        return "2plus1d"
    for path in arrays:
        match = re.fullmatch(f"({unit}/conv)/kernel", path)
        if match and recognition.kernel_frames(arrays, match[1]) == 1:
            return "2d"
    return "3d"


def _midplanes(arrays: recognition.Arrays) -> str:
    """The rule of the inner widths, or "" (the variant's own) where the arrays do not show it.

    Where a stage changes its width, the two widths of its first block differ in the paper, and are
    equal in torchvision.
    """
    for stage in recognition.STAGES[1:]:
        widths = []
        for conv in ("conv1", "conv2"):
            kernel = arrays.get(f"backbone/stage{stage}_block1/{conv}/conv/spatial/kernel")
            if kernel is not None:
                widths.append(kernel.shape[-1:])
        if len(widths) == 2:
            return "torchvision" if widths[0] == widths[1] else "paper"
    return ""
