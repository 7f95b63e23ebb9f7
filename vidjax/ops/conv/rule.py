"""Which form a convolution takes where none is asked for. The limits are measured: docs/performance.md."""

import math
from collections.abc import Callable, Sequence

from vidjax.ops.conv import forms, winograd
from vidjax.ops.conv.forms import Spec

FORMS: dict[str, Callable] = {
    "native": forms.native,
    "folded": forms.folded,
    "shifted": forms.shifted,
    "product": forms.product,
    "winograd": winograd.winograd,
}
LOWERINGS = ("auto", "onednn", *FORMS)

# All of these are of a CPU.
FEATURES = 128  # from which the compiler's 2D convolution is quicker than matrix products
POSITIONS = (
    64  # of a frame, up to which it is not: turning the kernel takes longer than the convolution
)
WEIGHTS = 1024  # channels x features from which planes cost less than the products that they save
CHANNELS = 64  # from which they do in time as well, and for the gradient of the kernel
# Beside oneDNN's convolution, which is quicker and need not be compiled:
ONEDNN_WEIGHTS = 8192  # channels x features from which planes cost less, where one of these two is reached as well:
PRODUCTS = 5e8  # multiply-adds a clip
TURNED = 2**19  # numbers in a kernel that would have to be turned


def choose(
    on_cpu: bool,
    kernel_shape: tuple[int, ...],
    spec: Spec,
    size: tuple[int, ...],
    lowering: str = "auto",
    dtype: str = "float32",
    *,
    backward: bool = False,
) -> str:
    """The name of the form that a convolution of a clip of `size` [T, H, W] takes, on a CPU or on an accelerator.

    `backward` is for the gradient of the input, whose kernel most forms have to turn around.
    """
    if lowering in FORMS:
        return lowering
    if on_cpu and lowering == "onednn" and not forms.pointwise(kernel_shape, spec):
        return (
            "winograd"
            if _pays_beside_onednn(kernel_shape, spec, size, dtype, backward)
            else "native"
        )
    if forms.depthwise(kernel_shape, spec):
        return "shifted" if on_cpu else "native"
    if forms.pointwise(kernel_shape, spec):
        return "shifted"
    factored = forms.spatial(kernel_shape, spec) or forms.temporal(kernel_shape, spec)
    if not on_cpu or spec.groups > 1:
        return "folded" if factored else "native"
    if forms.temporal(kernel_shape, spec):
        return "folded"
    out = spec.out_size(size, kernel_shape[:3])
    if _pays(kernel_shape, spec, out, WEIGHTS):
        return "winograd"
    strided = spec.stride != (1, 1, 1) and not factored
    few = kernel_shape[4] < FEATURES or math.prod(out[1:]) <= POSITIONS
    return "product" if few or strided else "folded"


def gradients_by_planes(
    kernel_shape: tuple[int, ...], spec: Spec, out: Sequence[int], lowering: str
) -> bool:
    """Whether a CPU takes dL/dkernel over `out` [T', H', W'] positions from `conv_winograd`.

    And dL/dx, where positions are so few that it would be taken by columns otherwise.
    """
    if lowering in FORMS:
        return lowering == "winograd" and winograd.applies(kernel_shape, spec)
    least = CHANNELS * (2 if kernel_shape[0] == 3 else 1)
    return min(kernel_shape[3:]) >= least and _pays(kernel_shape, spec, out, 0)


def _pays(kernel_shape, spec, out, weights):
    """Whether what `winograd` saves in products is more than its planes cost."""
    if not winograd.applies(kernel_shape, spec) or kernel_shape[1:3] == (1, 1):
        return False
    channels, features = kernel_shape[3:]
    enough = channels * features >= weights and (kernel_shape[0] == 1 or channels >= CHANNELS)
    return (
        enough and 4 * math.prod(out) >= channels
    )  # else the planes of the kernel are most of the work


def _pays_beside_onednn(kernel_shape, spec, size, dtype, backward):
    if dtype != "float32" or kernel_shape[0] == 3:
        return False
    out = spec.out_size(size, kernel_shape[:3])
    many = (
        math.prod(out) * math.prod(kernel_shape) >= PRODUCTS
        or backward
        and math.prod(kernel_shape) >= TURNED
    )
    return many and _pays(kernel_shape, spec, out, ONEDNN_WEIGHTS)
