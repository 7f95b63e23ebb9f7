"""I3D by the names of its authors' endpoints, which their code and its port to PyTorch share."""

from vidjax.convert import recognition
from vidjax.core.errors import ConvertError

STEM = "Conv3d_1a_7x7"
# Their endpoint -> our layer or block.
UNITS = {
    STEM: "backbone/stem",
    "Conv3d_2b_1x1": "backbone/stage1_reduce",
    "Conv3d_2c_3x3": "backbone/stage1_conv",
}
BLOCKS = {
    "Mixed_3b": "backbone/stage2_block1",
    "Mixed_3c": "backbone/stage2_block2",
    "Mixed_4b": "backbone/stage3_block1",
    "Mixed_4c": "backbone/stage3_block2",
    "Mixed_4d": "backbone/stage3_block3",
    "Mixed_4e": "backbone/stage3_block4",
    "Mixed_4f": "backbone/stage3_block5",
    "Mixed_5b": "backbone/stage4_block1",
    "Mixed_5c": "backbone/stage4_block2",
}
VARIANTS = {3: "i3d_inception", 2: "i3d_inception_flow"}  # by the channels of the input


def variant(arrays: recognition.Arrays) -> str:
    """The variant of i3d for the input channels of the stem. Raises ConvertError for others."""
    kernel = arrays.get("backbone/stem/conv/kernel")  # [kt, kh, kw, C, F]
    # Without a stem the network is taken for the one of colour, and the stem reported as missing.
    if kernel is None or kernel.ndim != 5:
        return VARIANTS[3]
    channels = kernel.shape[3]
    if channels not in VARIANTS:
        raise ConvertError(
            f"an I3D of {channels} input channels is not a variant of i3d: "
            "colour has 3, flow has 2."
        )
    return VARIANTS[channels]
