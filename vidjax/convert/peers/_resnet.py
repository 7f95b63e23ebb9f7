"""ResNets by torchvision's names: `conv1`, `layer1.0.bn2`, `layer2.0.downsample.0`.

Several code bases use the same names for other networks, some of them below a prefix.
"""

from vidjax.convert import recognition
from vidjax.core.errors import ConvertError


def layers(prefix: str = "") -> dict[str, str | tuple[str, str]]:
    """The rows of a table for the backbone; `prefix` is what their names begin with."""
    block = f"{prefix}layer<s>.<b-1>"
    return {
        "backbone/stem": (f"{prefix}conv1", f"{prefix}bn1"),
        "backbone/stage<s>_block<b>/conv<i>": (f"{block}.conv<i>", f"{block}.bn<i>"),
        "backbone/stage<s>_block<b>/shortcut": (f"{block}.downsample.0", f"{block}.downsample.1"),
    }


def is_bottleneck(arrays: recognition.Arrays) -> bool:
    """Whether the blocks have a third convolution."""
    return recognition.any_match(arrays, r"backbone/stage\d_block\d+/conv3/")


def variant_2d(arrays: recognition.Arrays, family: str) -> str:
    """The variant of a 2D family with these blocks. Raises ConvertError where there is none."""
    # ResNets of 34 and of 50 layers have equal depths and different blocks.
    depths = recognition.depths(arrays)
    bottleneck = is_bottleneck(arrays)
    name = recognition.variant(family, depths=depths, bottleneck=bottleneck)
    if name is None:
        kind = "bottleneck" if bottleneck else "basic"
        raise ConvertError(f"a ResNet of {depths} {kind} blocks is not a variant of {family}.")
    return name
