"""The rule that picks a form for each convolution, where the user asks for none.

The names that users give as `lowering`:

- "native": one convolution of XLA's in three axes.
- "folded": 2D convolutions, with time folded into the batch, or height and width into one axis.
- "shifted": shifted slices of the clip times the taps, summed.
- "product": im2col and matrix products.
- "winograd": Winograd's minimal filtering.
- "auto": one of these for each convolution, by platform, kernel and size.
- "onednn": the same for a program that is compiled for a CPU with oneDNN, which jaxlib has from
  version 0.11 on (`run.devices.compiler_options`).

All limits are for CPUs. They are round numbers, chosen by timing the convolutions of the networks
in docs/performance.md. "Features" are output channels.
"""

import math
from collections.abc import Callable, Sequence

from vidjax.ops.conv import winograd
from vidjax.ops.conv.folded import folded
from vidjax.ops.conv.native import native
from vidjax.ops.conv.product import product
from vidjax.ops.conv.shifted import shifted
from vidjax.ops.conv.spec import Spec, is_depthwise, is_pointwise, is_spatial, is_temporal

# The forms: each computes the same convolution, as f(x, kernel, spec).
FORMS: dict[str, Callable] = {
    "native": native,
    "folded": folded,
    "shifted": shifted,
    "product": product,
    "winograd": winograd.winograd,
}
LOWERINGS = ("auto", "onednn", *FORMS)

# At or above this many features, XLA's 2D convolution is faster than im2col products.
FOLDED_MIN_FEATURES = 128
# At or below this many positions in a frame, im2col products are faster all the same: copies of the
# kernel for XLA's convolution would take longer than the convolution.
PRODUCT_MAX_POSITIONS = 64
# At or above this many weights in a tap (channels * features), minimal filtering saves more in the
# products than its transforms cost.
WINOGRAD_MIN_WEIGHTS = 1024
# At or above this many channels, the same holds for the transforms in time and for the gradient of
# a kernel.
WINOGRAD_MIN_CHANNELS = 64

# oneDNN's convolution is faster than XLA's and needs no compilation, so with it the limits of
# minimal filtering are higher: a convolution has to reach the first of these, and one of the other
# two. At or above this many weights in a tap, the transforms cost less than the products that they
# save.
ONEDNN_WINOGRAD_MIN_WEIGHTS = 8192
# At or above this many multiply-adds in a clip, there is enough work to pay for the transforms.
ONEDNN_WINOGRAD_MIN_MULTIPLY_ADDS = 5e8
# At or above this many weights in the whole kernel, oneDNN is slow at the gradient of an input: it
# needs a flipped copy of the kernel, which minimal filtering does without.
ONEDNN_WINOGRAD_MIN_FLIPPED_WEIGHTS = 2**19


def choose(
    kernel_shape: tuple[int, ...],
    spec: Spec,
    size: tuple[int, ...],
    *,
    on_cpu: bool,
    lowering: str = "auto",
    dtype: str = "float32",
    backward: bool = False,
) -> str:
    """Picks the form of a convolution, a key of FORMS.

    Args:
      kernel_shape: [kt, kh, kw, C / groups, F].
      spec: how the kernel moves.
      size: the clip's (T, H, W).
      on_cpu: whether the program runs on a CPU, or else on a GPU or TPU.
      lowering: one of LOWERINGS; the name of a form is taken as it is.
      dtype: what the convolution computes in.
      backward: whether this is the gradient of an input, whose kernel has to be flipped in most
        forms. `kernel_shape` is then that of the flipped kernel.
    """
    if lowering in FORMS:
        return lowering
    pointwise = is_pointwise(kernel_shape, spec)
    if on_cpu and lowering == "onednn" and not pointwise:
        return _choose_with_onednn(kernel_shape, spec, size, dtype=dtype, backward=backward)
    if is_depthwise(kernel_shape, spec):
        # XLA's depthwise convolution is slow on a CPU; multiply-adds are not.
        return "shifted" if on_cpu else "native"
    if pointwise:
        return "shifted"  # a single matrix product
    temporal = is_temporal(kernel_shape, spec)
    two_dimensional = is_spatial(kernel_shape, spec) or temporal
    if not on_cpu or spec.groups > 1:
        return "folded" if two_dimensional else "native"
    if temporal:
        return "folded"
    return _choose_on_cpu(kernel_shape, spec, size)


def _choose_on_cpu(kernel_shape, spec, size):
    """Picks a form for a spatial or 3D kernel without groups, on a CPU without oneDNN."""
    out_size = spec.out_size(size, kernel_shape[:3])
    if _winograd_pays(kernel_shape, spec, out_size, min_weights=WINOGRAD_MIN_WEIGHTS):
        return "winograd"
    if spec.stride != (1, 1, 1) and not is_spatial(kernel_shape, spec):
        return "product"
    if kernel_shape[4] < FOLDED_MIN_FEATURES or math.prod(out_size[1:]) <= PRODUCT_MAX_POSITIONS:
        return "product"
    return "folded"


def _choose_with_onednn(kernel_shape, spec, size, *, dtype, backward):
    """Picks "native", which oneDNN computes, or "winograd", for any kernel but a pointwise one."""
    if dtype != "float32" or kernel_shape[0] == 3:
        return "native"
    out_size = spec.out_size(size, kernel_shape[:3])
    num_weights = math.prod(kernel_shape)
    much_work = math.prod(out_size) * num_weights >= ONEDNN_WINOGRAD_MIN_MULTIPLY_ADDS
    slow_to_flip = backward and num_weights >= ONEDNN_WINOGRAD_MIN_FLIPPED_WEIGHTS
    if not much_work and not slow_to_flip:
        return "native"
    if _winograd_pays(kernel_shape, spec, out_size, min_weights=ONEDNN_WINOGRAD_MIN_WEIGHTS):
        return "winograd"
    return "native"


def kernel_gradient_by_winograd(
    kernel_shape: tuple[int, ...], spec: Spec, out_size: Sequence[int], *, lowering: str
) -> bool:
    """Whether a CPU computes the gradient of a kernel by minimal filtering.

    If so, the gradient of the input is never taken by col2im either.

    Args:
      kernel_shape: [kt, kh, kw, C / groups, F].
      spec: how the kernel moves.
      out_size: the positions (T', H', W') of the output.
      lowering: one of LOWERINGS; only "winograd" forces it.
    """
    if lowering in FORMS:
        return lowering == "winograd" and winograd.applies(kernel_shape, spec)
    min_channels = WINOGRAD_MIN_CHANNELS
    if kernel_shape[0] == 3:
        min_channels *= 2  # the transform in time has to pay, too
    if min(kernel_shape[3:]) < min_channels:
        return False
    return _winograd_pays(kernel_shape, spec, out_size, min_weights=0)


def _winograd_pays(kernel_shape, spec, out_size, *, min_weights):
    """Whether minimal filtering saves more in the products than its transforms cost."""
    if not winograd.applies(kernel_shape, spec):
        return False
    if kernel_shape[1:3] == (1, 1):  # three taps in time alone: a third less work gains nothing
        return False
    channels, features = kernel_shape[3:]
    if channels * features < min_weights:
        return False
    if kernel_shape[0] == 3 and channels < WINOGRAD_MIN_CHANNELS:
        return False
    # With fewer positions, most of the work would be to transform the kernel.
    return 4 * math.prod(out_size) >= channels
